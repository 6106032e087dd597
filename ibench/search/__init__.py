"""Hyperparameter search over an engine's launch flags."""

from ibench.search.loop import TrialResult, run_search
from ibench.search.samplers import Sampler, make_sampler

__all__ = ["Sampler", "TrialResult", "make_sampler", "run_search"]
