"""A server that somebody else runs: measured like a launched one, never stopped."""

from __future__ import annotations

from typing import Self

from ibench.errors import LaunchError
from ibench.records import Launch, LaunchOutcome
from ibench.serving.probe import Probe, look_once

__all__ = ["AttachedServer"]

_TIMEOUT_S = 10.0


class AttachedServer:
    """A running server by its address; what is not known of it stays unknown.

    Args:
        url: with or without ``/v1``.
    """

    def __init__(self, url: str) -> None:
        """Ask once for its models."""
        self.base_url = url.rstrip("/").removesuffix("/v1")
        seen = look_once(self.base_url, _TIMEOUT_S)
        self.launch = Launch(
            outcome=LaunchOutcome.READY if seen.ready else LaunchOutcome.NEVER_READY,
            detail="was running; not launched here" if seen.ready else self._says(seen),
            ready_s=None,
            sandbox="none",
            warning="not launched here: its launcher and its end were not judged",
            served_models=seen.models,
        )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the server running."""

    def pids(self) -> tuple[int, ...]:
        """No processes: which ones serve is not known."""
        return ()

    def pause(self) -> None:
        """Leave it running: it is not ours to stop."""

    def resume(self) -> None:
        """Nothing was stopped."""

    def check_alive(self) -> None:
        """Make sure that it still answers.

        Raises:
            LaunchError: it does not (``died``), or never did.
        """
        if self.launch.outcome is not LaunchOutcome.READY:
            raise LaunchError(self.launch.outcome, self.launch.detail)
        seen = look_once(self.base_url, _TIMEOUT_S)
        if not seen.ready:
            raise LaunchError(LaunchOutcome.DIED, self._says(seen))

    def stop(self, grace_s: float = 0.0) -> tuple[str, ...]:
        """Leave it running, whatever the grace: it is not ours to stop."""
        return ()

    def _says(self, seen: Probe) -> str:
        return f"{self.base_url}: {seen.detail}"
