"""Waiting for a server that a test started itself."""

from __future__ import annotations

import time

from ibench.serving.probe import look_once

__all__ = ["until_it_answers"]


def until_it_answers(url: str, within_s: float = 60.0) -> None:
    """Return once ``/v1/models`` answers.

    Raises:
        AssertionError: it did not within the limit.
    """
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if look_once(url, 1.0).ready:
            return
        time.sleep(0.1)
    raise AssertionError(f"{url}: no answer within {within_s:g} s")
