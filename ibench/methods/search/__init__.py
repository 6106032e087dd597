"""Hyperparameter search over the launch flags of one engine or of several."""

from ibench.methods.search.confirm import Choice, Leaders, choose, confirm
from ibench.methods.search.halving import Halving, climb, rungs
from ibench.methods.search.loop import TrialResult, ranked, run_search
from ibench.methods.search.samplers import Sampler, make_sampler
from ibench.methods.search.space import Config, Space

__all__ = [
    "Choice", "Config", "Halving", "Leaders", "Sampler", "Space", "TrialResult",
    "choose", "climb", "confirm", "make_sampler", "ranked", "run_search", "rungs",
]  # fmt: skip
