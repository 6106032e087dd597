"""How is a server measured? Arrivals, load clients, phases, scenarios.

Nothing here launches a server, knows a study or judges what it saw.
"""
