"""Shared by every test: no hub access, and the one embedded model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ibench import REPOSITORY

# Before any test imports huggingface_hub, which reads it once.
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def model_dir() -> Path:
    """Folder of the embedded model, trained once and shared with `make reproduce`."""
    from ibench.workloads.embedded_model import ensure_model

    return ensure_model(REPOSITORY / ".cache" / "models")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the whole chain last: every smaller failure is cheaper to read."""
    items.sort(key=lambda item: item.get_closest_marker("smoke") is not None)
