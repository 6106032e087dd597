"""What the five notebooks call: one module a stage, one record out of it."""

__all__: list[str] = []
