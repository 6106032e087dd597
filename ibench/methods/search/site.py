"""Where a search launches and measures servers: development data only."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ibench.errors import LaunchError
from ibench.load.scenario import Measurement, Server, connect, measure_scenario
from ibench.methods.folder import write_launcher
from ibench.methods.search import Config, Space
from ibench.records import Launch, LaunchOutcome
from ibench.serving.engines import launcher_script
from ibench.serving.launch import RunningServer, launch_anywhere
from ibench.study.job import OpenJob

__all__ = ["Clock", "Life", "Site"]


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


@dataclass
class Life:
    """One server life: how it ended and what its parts took."""

    outcome: str = "ok"
    detail: str = ""
    log_tail: str = ""
    cut: bool = False
    times: list[float] = field(default_factory=lambda: [time.monotonic()])

    def mark(self) -> None:
        """End a part and begin the next."""
        self.times.append(time.monotonic())

    @property
    def spans(self) -> dict[str, float]:
        """Seconds of launch, evaluation and teardown."""
        spans = (after - before for before, after in itertools.pairwise(self.times))
        names = ("launch_s", "evaluate_s", "teardown_s")
        return dict(zip(names, spans, strict=True))


class Site:
    """Where configurations are launched and measured.

    Args:
        job: the stage.
        space: its engines are launched.
        folder: for launchers and logs.
    """

    def __init__(self, job: OpenJob, space: Space, folder: Path) -> None:
        """Make what an agent's workspace holds too, before the budget starts."""
        workload, seed = job.scenario.workload, job.seeds.development
        self.settings = job.study.profile.measure
        self.job, self.space, self.folder = job, space, folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.questions = job.assets.questions("dev")
        self.count_tokens = job.assets.tokenizer.count_text
        self._engines = {name: job.study.engine(name) for name in space.engines}
        self._requests = job.assets.requests(workload, seed, "dev")
        warm = self.settings.warmup_requests
        self._warmup = job.assets.requests(workload, seed, "warmup", warm)

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

    def live(
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
        write_launcher(self.folder / name, script)
        kind, house = self.job.sandbox(image)
        life = Life()
        with launch_anywhere(
            self.folder / name,
            model_dir=self.job.assets.model_dir,
            model_id=self.job.study.model.model_id,
            log_path=self.folder / f"{name}.log",
            ready_timeout_s=min(limit_s, self.settings.ready_timeout_s),
            sandbox_kind=kind,
            house=house,
        ) as server:
            life.mark()
            self._judge_launch(life, server.launch, limit_s)
            if life.outcome == "ok":
                self._use(server, life, limit_s, use)
            life.mark()
            server.stop()
        life.mark()
        return life

    def _use(
        self,
        server: RunningServer,
        life: Life,
        limit_s: float,
        use: Callable[[Server, Life], None],
    ) -> None:
        def end() -> None:
            life.cut = True
            server.stop(0.0)

        left_s = life.times[0] + limit_s - time.monotonic()
        timer = threading.Timer(max(0.0, left_s), end)
        timer.start()
        try:
            use(self._connect(server.base_url, server.launch), life)
            server.check_alive()
        except LaunchError as error:
            life.outcome, life.detail = error.outcome, error.detail
        finally:
            timer.cancel()

    def _judge_launch(self, life: Life, found: Launch, limit_s: float) -> None:
        if found.outcome is LaunchOutcome.READY:
            return
        life.outcome, life.detail = str(found.outcome), found.detail
        life.log_tail = found.log_tail
        is_slow = found.outcome is LaunchOutcome.NEVER_READY
        life.cut = is_slow and limit_s < self.settings.ready_timeout_s

    def _connect(self, base_url: str, found: Launch) -> Server:
        return connect(
            base_url,
            found.served_models,
            self.job.assets.model_dir,
            self.job.study.model.model_id,
            self.job.scenario.workload,
            self.settings,
        )

    def measure(self, target: Server, requests: int, life: Life) -> Measurement | None:
        """Measure with so many requests a phase; a failure sets the outcome."""
        job = self.job
        measured = measure_scenario(
            target,
            job.scenario.workload,
            self._requests,
            self._warmup,
            self.settings,
            seed=job.seeds.development,
            run_name=f"{job.job.run_id}:{time.monotonic_ns()}",
            count_tokens=self.count_tokens,
            limit=requests,
        )
        if measured.objective is None:
            life.outcome, life.detail = "no_measurement", measured.detail
        elif measured.failure_rate > job.study.gates.max_failure_rate:
            failures = [str(r.failure) for r in measured.results if r.failure]
            life.outcome = "failed_requests"
            life.detail = f"{measured.failure_rate:.0%}, such as {failures[0]}"
        else:
            return measured
        return None
