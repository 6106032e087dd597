"""Where does a study run? One idempotent job a cell, three ways to schedule it.

Nothing here knows what a stage does.
"""
