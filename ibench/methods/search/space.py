"""A search space: finite values by parameter, for one engine or for several."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ibench.records import canonical_json

__all__ = ["ENGINE", "Config", "Space", "Value", "config_key"]

Value: TypeAlias = bool | int | float | str
Config: TypeAlias = dict[str, Value]
ENGINE = "engine"
"""Key of a configuration that names its engine, in a joint space only."""


def config_key(config: Mapping[str, Value]) -> str:
    """Identity of a configuration."""
    return canonical_json(dict(config))


@dataclass(frozen=True)
class Space:
    """Values by parameter, for each engine.

    With several engines the engine is one more parameter, and each engine's own
    parameters exist only where that engine is chosen.

    Attributes:
        engines: values by parameter by engine.
    """

    engines: Mapping[str, Mapping[str, tuple[Value, ...]]]

    @property
    def is_joint(self) -> bool:
        """Whether the engine is searched too."""
        return len(self.engines) > 1

    @property
    def size(self) -> int:
        """Number of configurations."""
        return sum(
            math.prod(len(values) for values in parameters.values())
            for parameters in self.engines.values()
        )

    def own(self, engine: str) -> list[tuple[str, str, tuple[Value, ...]]]:
        """An engine's parameters in a fixed order: unique name, own name, values."""
        head = f"{engine}." if self.is_joint else ""
        return [(head + n, n, v) for n, v in sorted(self.engines[engine].items())]

    def config(self, engine: str, own: Config) -> Config:
        """Write a configuration; the engine stands in it if the space is joint."""
        return {ENGINE: engine, **own} if self.is_joint else dict(own)

    def split(self, config: Mapping[str, Value]) -> tuple[str, Config]:
        """Tell the engine of a configuration from what that engine is given."""
        if not self.is_joint:
            return next(iter(self.engines)), dict(config)
        return str(config[ENGINE]), {k: v for k, v in config.items() if k != ENGINE}
