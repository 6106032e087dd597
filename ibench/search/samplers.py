"""Random, TPE and SMAC3 behind one ask-and-tell interface.

A sampler proposes configurations of a finite grid and hears their objective (larger is
better). Crashes are told as an objective of zero: no measured one is as bad.
"""

from __future__ import annotations

import itertools
import random
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from ibench.records import canonical_json

__all__ = ["Config", "Sampler", "config_key", "grid", "make_sampler"]

Value: TypeAlias = bool | int | float | str
Config: TypeAlias = dict[str, Value]
FAILED = 0.0


class Sampler(Protocol):
    """Proposes configurations and learns from their objectives."""

    def ask(self) -> Config | None:
        """Return the next configuration, or None when the grid is used up."""

    def tell(self, config: Config, objective: float | None) -> None:
        """Report an objective; None is a failure."""


def config_key(config: Mapping[str, Value]) -> str:
    """Identity of a configuration."""
    return canonical_json(dict(config))


def grid(parameters: Mapping[str, tuple[Value, ...]]) -> list[Config]:
    """Every configuration of a space, in a fixed order."""
    names = sorted(parameters)
    products = itertools.product(*(parameters[n] for n in names))
    return [dict(zip(names, values, strict=True)) for values in products]


def make_sampler(
    kind: str, parameters: Mapping[str, tuple[Value, ...]], seed: int, scratch: Path
) -> Sampler:
    """Build a sampler.

    Args:
        kind: ``random``, ``tpe`` or ``smac``.
        parameters: values by name; single values are fixed and not searched.
        seed: seed of the sampler's own generator.
        scratch: folder for files that SMAC3 insists on writing.
    """
    if kind == "random":
        return RandomSampler(parameters, seed)
    return (TpeSampler if kind == "tpe" else SmacSampler)(parameters, seed, scratch)


class RandomSampler:
    """Uniform over the grid without replacement."""

    def __init__(self, parameters: Mapping[str, tuple[Value, ...]], seed: int) -> None:
        """Draw values one by one: the grid may be too large to shuffle."""
        self._parameters = dict(sorted(parameters.items()))
        self._rng = random.Random(f"{seed}:search:random")  # noqa: S311
        self._seen: set[str] = set()
        self._size = 1
        for values in self._parameters.values():
            self._size *= len(values)

    def ask(self) -> Config | None:
        """Draw until an unseen configuration comes up."""
        while len(self._seen) < self._size:
            config = {n: self._rng.choice(v) for n, v in self._parameters.items()}
            if config_key(config) not in self._seen:
                self._seen.add(config_key(config))
                return config
        return None

    def tell(self, config: Config, objective: float | None) -> None:
        """Learn nothing; that is the method."""


class TpeSampler:
    """Optuna's tree-structured Parzen estimator over categorical values."""

    def __init__(
        self, parameters: Mapping[str, tuple[Value, ...]], seed: int, _scratch: Path
    ) -> None:
        """Open an in-memory study."""
        import optuna  # noqa: PLC0415 (slow import)

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._distributions: dict[str, Any] = {
            n: optuna.distributions.CategoricalDistribution(v)
            for n, v in sorted(parameters.items())
        }
        self._study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=3),
        )
        self._open: dict[str, Any] = {}

    def ask(self) -> Config | None:
        """Ask the study."""
        trial = self._study.ask(self._distributions)
        config: Config = dict(trial.params)
        self._open[config_key(config)] = trial
        return config

    def tell(self, config: Config, objective: float | None) -> None:
        """Close the trial that proposed the configuration."""
        trial = self._open.pop(config_key(config))
        self._study.tell(trial, FAILED if objective is None else objective)


class SmacSampler:
    """SMAC3's hyperparameter optimization facade, deterministic: nothing runs twice."""

    def __init__(
        self, parameters: Mapping[str, tuple[Value, ...]], seed: int, scratch: Path
    ) -> None:
        """Build the configuration space and a facade that never calls a function."""
        import smac  # noqa: PLC0415 (slow import)
        from ConfigSpace import Categorical, ConfigurationSpace  # noqa: PLC0415
        from smac.main.exceptions import (  # noqa: PLC0415
            ConfigurationSpaceExhaustedException,
        )

        self._smac, self._exhausted = smac, ConfigurationSpaceExhaustedException
        # ConfigSpace turns values into NumPy types: positions keep ours.
        self._values = dict(sorted(parameters.items()))
        space = ConfigurationSpace(seed=seed)
        space.add(
            [
                Categorical(n, [str(i) for i in range(len(v))])
                for n, v in self._values.items()
            ]
        )
        scenario = smac.Scenario(
            space,
            deterministic=True,
            n_trials=10_000,
            seed=seed,
            output_directory=scratch,
        )
        facade = smac.HyperparameterOptimizationFacade
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._facade = facade(
                scenario,
                _never_called,
                initial_design=facade.get_initial_design(scenario, n_configs=3),
                logging_level=40,
                overwrite=True,
            )
        self._open: dict[str, Any] = {}

    def ask(self) -> Config | None:
        """Ask the facade."""
        try:
            info = self._facade.ask()
        except (StopIteration, self._exhausted):
            return None
        config = {n: v[int(info.config[n])] for n, v in self._values.items()}
        self._open[config_key(config)] = info
        return config

    def tell(self, config: Config, objective: float | None) -> None:
        """Tell a cost: SMAC3 minimises."""
        info = self._open.pop(config_key(config))
        cost = FAILED if objective is None else -objective
        self._facade.tell(info, self._smac.runhistory.TrialValue(cost=cost))


def _never_called(config: Any, seed: int = 0) -> float:  # noqa: ANN401
    raise AssertionError("the trial loop evaluates, not SMAC3")
