"""Shared by every test: no hub access, one embedded model, and the order of a run."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ibench import REPOSITORY
from tests.quick import nothing_dear
from tests.scheduling import MeasuresLast, group_of, weight_of

# Before any test imports huggingface_hub, which reads it once.
os.environ["HF_HUB_OFFLINE"] = "1"
# Each worker its share of the cores: what torch and numpy start waits by spinning.
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    if _WORKERS > 1:
        os.environ.setdefault(_name, str(max(1, (os.cpu_count() or 1) // _WORKERS)))
# A shell that starts pytest in the background has it ignore interrupts, and so would
# every program that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What these bring takes more than moments: a model, a browser, npm, a cluster.
SLOW_FIXTURES = {"model_dir", "bundled", "chromium", "browse", "lab", "box", "chain"}
SLOW_MARKS = ("smoke", "long", "browser", "gpu", "engines")


@pytest.fixture(scope="session")
def model_dir() -> Path:
    """Folder of the embedded model, trained once and shared with `make reproduce`."""
    from ibench.workloads.embedded_model import ensure_model

    return ensure_model(REPOSITORY / ".cache" / "models")


@pytest.fixture(autouse=True)
def quick_unless_marked_slow(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hold `make test-fast` to its promise, whoever adds a test."""
    if request.node.get_closest_marker("slow"):
        yield
    else:
        with nothing_dear(request.node.name):
            yield


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow by what it uses, and put what takes minutes first."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & SLOW_FIXTURES or any(map(item.get_closest_marker, SLOW_MARKS)):
            item.add_marker("slow")
        if group := group_of(item):
            item.add_marker(pytest.mark.xdist_group(group))
    first: dict[Path, int] = {}
    for item in items:
        if item.get_closest_marker("measures") is None:
            first[item.path] = min(weight_of(item), first.get(item.path, 9))
    items.sort(key=lambda i: (first.get(i.path, 9), str(i.path)))
    # Alone, a test of the whole chain comes last: a smaller failure is easier to read.
    items.sort(key=lambda i: i.get_closest_marker("measures") is not None)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give out tests by file, and those that measure when nothing else runs."""
    if config.getvalue("dist") != "loadgroup":
        return None
    config.option.loadscopereorder = False  # the order above is the better one
    return MeasuresLast(config, log)
