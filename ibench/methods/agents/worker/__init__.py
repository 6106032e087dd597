"""Harbor's side of the agent layer: scripts of another Python environment."""
