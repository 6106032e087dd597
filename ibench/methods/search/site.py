"""Where a search launches and measures servers: development data only."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ibench.load.life import Life, serve_while_used
from ibench.load.measure import Measurement
from ibench.load.scenario import Server
from ibench.methods.folder import write_launcher
from ibench.methods.search import Config, Space
from ibench.records import LaunchOutcome
from ibench.serving.engines import launcher_script
from ibench.study.draw import development
from ibench.study.job import OpenJob
from ibench.study.live import connected, launched, measured

__all__ = ["Clock", "Site"]


class Clock:
    """The wall-clock budget of one search, which starts now.

    Args:
        budget_s: all of it.
        now: monotonic seconds.
    """

    def __init__(
        self, budget_s: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        """Start."""
        self.budget_s, self._now, self._started = budget_s, now, now()

    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._now() - self._started

    def left(self) -> float:
        """Seconds left; negative afterwards."""
        return self.budget_s - self.elapsed()


class Site:
    """Where configurations are launched and measured.

    Args:
        job: the stage.
        space: its engines are launched.
        folder: for launchers and logs.
    """

    def __init__(self, job: OpenJob, space: Space, folder: Path) -> None:
        """Make what an agent's workspace holds too, before the budget starts."""
        self.settings = job.study.profile.measure
        self.job, self.space, self.folder = job, space, folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.workload = development(job)
        self._engines = {name: job.study.engine(name) for name in space.engines}

    def script(self, config: Config) -> str:
        """Write ``start_server.sh`` of a configuration."""
        engine, own = self.space.split(config)
        return launcher_script(self._engines[engine], dict(own))

    def default_script(self, engine: str) -> str:
        """Write ``start_server.sh`` of an engine's default launch."""
        return launcher_script(self._engines[engine], {})

    def image(self, engine: str) -> str:
        """Name the image that an engine's launcher runs on."""
        return self._engines[engine].image

    def serve_while_used(
        self,
        name: str,
        script: str,
        image: str,
        limit_s: float,
        use: Callable[[Server, Life], None],
    ) -> Life:
        """Launch, let a server be used, stop it; never longer than the limit.

        At the limit the server is stopped under the measurement, whose requests then
        fail: the budget is the same wall-clock time for every method.

        Args:
            name: of launcher folder and log.
            script: text of the launcher.
            image: what a container runs on.
            limit_s: seconds until it is stopped.
            use: measures; may set the outcome.
        """
        folder, log = self.folder / name, self.folder / f"{name}.log"
        write_launcher(folder, script)
        ready_s = min(limit_s, self.settings.ready_timeout_s)
        life = serve_while_used(
            lambda: launched(self.job, folder, log, image, ready_s),
            lambda running, life: use(connected(self.job, running), life),
            limit_s=limit_s,
        )
        is_slow = life.launch.outcome is LaunchOutcome.NEVER_READY
        if is_slow and limit_s < self.settings.ready_timeout_s:
            life.cut = True
        return life

    def measure(self, target: Server, requests: int, life: Life) -> Measurement | None:
        """Measure with so many requests a phase; a failure sets the outcome."""
        found = measured(self.job, target, self.workload, limit=requests)
        if found.objective is None:
            life.fail("no_measurement", found.detail)
        elif found.failure_rate > self.job.study.gates.max_failure_rate:
            first = next(str(r.failure) for r in found.results if r.failure)
            life.fail("failed_requests", f"{found.failure_rate:.0%}, such as {first}")
        else:
            return found
        return None
