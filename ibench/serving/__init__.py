"""How does a server run? Sandboxes, processes, launches, engines, GPUs.

Nothing here sends load, knows a study or judges.
"""
