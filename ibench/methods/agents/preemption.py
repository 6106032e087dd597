"""A stage that can stop in the middle and go on elsewhere says so, and is asked to."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ibench.study.progress import CAN_SAVE, SAVE

__all__ = ["preemptible"]


@contextmanager
def preemptible(folder: Path) -> Iterator[Callable[[], bool]]:
    """Offer to save the session: to the stage runner by a file, to TERM directly."""
    asked, offer, request = threading.Event(), folder / CAN_SAVE, folder / SAVE
    request.unlink(missing_ok=True)
    offer.touch()
    catches = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    if catches:
        signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield lambda: asked.is_set() or request.exists()
    finally:
        if catches:
            signal.signal(signal.SIGTERM, before)
        offer.unlink(missing_ok=True)
