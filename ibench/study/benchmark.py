"""The benchmarks there are: ours, and those that other packages register.

A package registers one as an entry point of the group ``ibench.benchmarks``, whose
value is a ``Benchmark``; profiles name it under ``benchmark``.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from ibench.errors import unknown_name
from ibench.params.files import named, read_key
from ibench.study.grid import Benchmark, Grid

__all__ = ["find_benchmark", "open_grid"]

GROUP = "ibench.benchmarks"
OURS = {"inference": "ibench.study.definition:INFERENCE"}


def find_benchmark(name: str, source: Path | str = "benchmark") -> Benchmark:
    """Look a benchmark up by the name that profiles give it.

    Args:
        name: of it.
        source: file that names it, for the error.

    Raises:
        ParameterError: nobody registered one of this name.
    """
    found = {e.name: e.value for e in entry_points(group=GROUP)} | OURS
    if name not in found:
        raise unknown_name(source, "benchmark", name, sorted(found))
    module, _, attribute = found[name].partition(":")
    benchmark: Benchmark = getattr(import_module(module), attribute)
    return benchmark


def open_grid(profile: str, params: Path, results: Path) -> Grid[Any]:
    """Open a profile as a study of the benchmark that it names.

    Raises:
        ParameterError: anything in its files that is unknown, missing or mistyped.
    """
    path = named(params.resolve() / "profiles", profile)
    name = read_key(path, "benchmark", "inference")
    return find_benchmark(name, path).open(profile, params, results)
