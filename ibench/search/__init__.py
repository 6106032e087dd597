"""Hyperparameter search over the launch flags of one engine or of several."""

from ibench.search.confirm import Choice, Leaders, choose, confirm
from ibench.search.halving import Halving, climb, rungs
from ibench.search.loop import TrialResult, ranked, run_search
from ibench.search.samplers import Sampler, make_sampler
from ibench.search.space import Config, Space

__all__ = [
    "Choice",
    "Config",
    "Halving",
    "Leaders",
    "Sampler",
    "Space",
    "TrialResult",
    "choose",
    "climb",
    "confirm",
    "make_sampler",
    "ranked",
    "run_search",
    "rungs",
]
