"""A grid on many machines: one idempotent job a cell, three ways to schedule it."""
