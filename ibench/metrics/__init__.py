"""How is a number computed? Formulas over requests, phases and repeated runs.

Pure functions: no file, no server, no clock.
"""
