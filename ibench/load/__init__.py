"""Arrival schedules, the load client and the measurement of one traffic phase."""
