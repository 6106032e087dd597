"""Agent trajectories: one event table, facts and episodes by documented rules."""
