"""Agents: workspace, budgeted session, evaluator, scripted agents."""
