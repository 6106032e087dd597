"""Random, TPE and SMAC3 behind one ask-and-tell interface.

A sampler proposes configurations of a finite space and hears their objective (larger is
better). Crashes are told as an objective of zero: no measured one is as bad.
"""

from __future__ import annotations

import random
import warnings
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from ibench.methods.search.space import ENGINE, Config, Space, config_key

__all__ = ["Sampler", "make_sampler"]

FAILED = 0.0


class Sampler(Protocol):
    """Proposes configurations and learns from their objectives."""

    def ask(self) -> Config | None:
        """Return the next configuration, or None when the space is used up."""

    def tell(self, config: Config, objective: float | None) -> None:
        """Report an objective; None is a failure."""


def make_sampler(kind: str, space: Space, seed: int, scratch: Path) -> Sampler:
    """Build a sampler.

    Args:
        kind: ``random``, ``tpe`` or ``smac``.
        space: what is searched; single values are fixed.
        seed: seed of the sampler's own generator.
        scratch: folder for files that SMAC3 insists on writing.
    """
    if kind == "random":
        return RandomSampler(space, seed)
    return (
        TpeSampler(space, seed) if kind == "tpe" else SmacSampler(space, seed, scratch)
    )


class RandomSampler:
    """Uniform without replacement: the engine first, then its values."""

    def __init__(self, space: Space, seed: int) -> None:
        """Draw values one by one: the space may be too large to shuffle."""
        self._space, self._engines = space, sorted(space.engines)
        self._rng = random.Random(f"{seed}:search:random")  # noqa: S311
        self._seen: set[str] = set()

    def ask(self) -> Config | None:
        """Draw until an unseen configuration comes up."""
        while len(self._seen) < self._space.size:
            engine = self._engines[0]
            if self._space.is_joint:
                engine = self._rng.choice(self._engines)
            own = {n: self._rng.choice(v) for _, n, v in self._space.own(engine)}
            config = self._space.config(engine, own)
            if config_key(config) not in self._seen:
                self._seen.add(config_key(config))
                return config
        return None

    def tell(self, config: Config, objective: float | None) -> None:
        """Learn nothing; that is the method."""


class TpeSampler:
    """Optuna's tree-structured Parzen estimator over categorical values."""

    def __init__(self, space: Space, seed: int) -> None:
        """Open an in-memory study."""
        import optuna  # noqa: PLC0415 (slow import)

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = space
        # One parameter at a time: an engine's parameters are then learnt from the
        # trials that had them, which is all that a joint space asks for.
        self._study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=3),
        )
        self._open: dict[str, Any] = {}

    def ask(self) -> Config | None:
        """Ask the study for the engine, then for that engine's parameters."""
        trial = self._study.ask()
        engine = next(iter(self._space.engines))
        if self._space.is_joint:
            engine = trial.suggest_categorical(ENGINE, sorted(self._space.engines))
        own = {
            n: trial.suggest_categorical(unique, v)
            for unique, n, v in self._space.own(engine)
        }
        config = self._space.config(engine, own)
        self._open[config_key(config)] = trial
        return config

    def tell(self, config: Config, objective: float | None) -> None:
        """Close the trial that proposed the configuration."""
        trial = self._open.pop(config_key(config))
        self._study.tell(trial, FAILED if objective is None else objective)


class SmacSampler:
    """SMAC3's hyperparameter optimization facade, deterministic: nothing runs twice."""

    def __init__(self, space: Space, seed: int, scratch: Path) -> None:
        """Build the configuration space and a facade that never calls a function."""
        import smac  # noqa: PLC0415 (slow import)
        from joblib import parallel_config  # noqa: PLC0415
        from smac.main.exceptions import (  # noqa: PLC0415
            ConfigurationSpaceExhaustedException,
        )
        from smac.model.random_forest import RandomForest  # noqa: PLC0415

        self._smac, self._exhausted = smac, ConfigurationSpaceExhaustedException
        # SMAC3 opens a thread pool for each look at its forest; without them the same
        # proposals come in half the time, which is charged.
        self._one_thread = partial(parallel_config, backend="sequential")
        self._space = space
        scenario = smac.Scenario(
            _config_space(space, seed),
            deterministic=True,
            n_trials=10_000,
            seed=seed,
            output_directory=scratch,
        )
        facade = smac.HyperparameterOptimizationFacade
        # The facade's own forest, but its trees claim memory for 2^20 leaves each time.
        forest = RandomForest(
            scenario.configspace,
            n_trees=10,
            ratio_features=1.0,
            min_samples_split=2,
            min_samples_leaf=1,
            max_leaf_nodes=2**12,
            log_y=True,
            seed=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._facade = facade(
                scenario,
                _never_called,
                model=forest,
                initial_design=facade.get_initial_design(scenario, n_configs=3),
                logging_level=40,
                overwrite=True,
            )
        self._open: dict[str, Any] = {}

    def ask(self) -> Config | None:
        """Ask the facade."""
        try:
            with self._one_thread(), warnings.catch_warnings():
                # Of an engine that no trial chose yet it averages nothing.
                warnings.simplefilter("ignore", RuntimeWarning)
                info = self._facade.ask()
        except (StopIteration, self._exhausted):
            return None
        engine = next(iter(self._space.engines))
        if self._space.is_joint:
            engine = sorted(self._space.engines)[int(info.config[ENGINE])]
        own = {n: v[int(info.config[u])] for u, n, v in self._space.own(engine)}
        config = self._space.config(engine, own)
        self._open[config_key(config)] = info
        return config

    def tell(self, config: Config, objective: float | None) -> None:
        """Tell a cost: SMAC3 minimises."""
        info = self._open.pop(config_key(config))
        cost = FAILED if objective is None else -objective
        self._facade.tell(info, self._smac.runhistory.TrialValue(cost=cost))


def _config_space(space: Space, seed: int) -> Any:  # noqa: ANN401 (no types there)
    """Positions of values: ConfigSpace would turn the values into NumPy types."""
    from ConfigSpace import (  # noqa: PLC0415 (slow import)
        Categorical,
        ConfigurationSpace,
        EqualsCondition,
    )

    def positions(name: str, n: int) -> Any:  # noqa: ANN401
        return Categorical(name, [str(i) for i in range(n)])

    result = ConfigurationSpace(seed=seed)
    parent = positions(ENGINE, len(space.engines))
    if space.is_joint:
        result.add(parent)
    for i, engine in enumerate(sorted(space.engines)):
        own = [positions(unique, len(v)) for unique, _, v in space.own(engine)]
        result.add(own)
        if space.is_joint:
            result.add([EqualsCondition(child, parent, str(i)) for child in own])
    return result


def _never_called(config: Any, seed: int = 0) -> float:  # noqa: ANN401
    raise AssertionError("the trial loop evaluates, not SMAC3")
