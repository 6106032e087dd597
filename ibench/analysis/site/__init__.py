"""A static site of results: leaderboard, outcomes, behaviour map, replayed runs."""
