"""A server under load: how it is spoken to, and the one way to measure it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ibench.load.blocks import parts_of
from ibench.load.choose import choose_client
from ibench.load.client import Enough, LoadClient
from ibench.load.dialect import Dialect, negotiate_dialect, served_model_name
from ibench.load.driver import PhaseRun, ask_questions, run_phase
from ibench.load.measure import (
    Measurement,
    Side,
    calibrations,
    load_in_turns,
    summed_up,
)
from ibench.params import Measure, Scenario
from ibench.records import Question, RequestResult, RequestSpec
from ibench.workloads.sets import Workload

__all__ = ["Server", "connect"]


@dataclass(frozen=True)
class Server:
    """A server that answers, how it is spoken to, and with which client and settings.

    Attributes:
        base_url: address without ``/v1``.
        model: name that requests carry.
        dialect: fields that the server takes.
        client: sends and stamps.
        settings: time-outs, length contract, limits of goodput.
        also_named: names under which answers may speak of the model.
    """

    base_url: str
    model: str
    dialect: Dialect
    client: LoadClient
    settings: Measure
    also_named: tuple[str, ...] = ()

    def ask(
        self,
        questions: Sequence[Question],
        *,
        concurrency: int,
        count_tokens: Callable[[str], int],
    ) -> tuple[RequestResult, ...]:
        """Ask the quality questions in the server's present life."""
        return ask_questions(
            self.client,
            self.base_url,
            questions,
            self.model,
            concurrency=concurrency,
            request_timeout_s=self.settings.request_timeout_s,
            count_tokens=count_tokens,
            also_named=self.also_named,
        )

    def measure(
        self,
        scenario: Scenario,
        workload: Workload,
        *,
        run_name: str,
        count_tokens: Callable[[str], int] | None,
        folder: Path | None = None,
        limit: int | None = None,
        calibrated: bool = False,
        progress: Callable[[str], None] = lambda phase: None,
    ) -> Measurement:
        """Warm up, run every phase one after the other, summarise.

        Args:
            scenario: phases and objective.
            workload: the request set, of which each phase has its own part, and the
                warm-up; its seed names the arrival vectors.
            run_name: no other run has it; its nonces keep prefix caches cold.
            count_tokens: re-tokenises a text, without special tokens.
            folder: where arrival vectors are saved, if anywhere.
            limit: requests a phase at most (a quick evaluation).
            calibrated: drive the null server before and after, about a second a phase.
            progress: told the phase that starts.
        """
        settings = self.settings
        parts = parts_of(scenario, workload, settings, folder=folder, limit=limit)
        check = calibrated and settings.client.calibrate
        before = calibrations(settings, parts, "before") if check else ()
        side = Side(self, run_name, count_tokens)
        load_in_turns([side], scenario, parts, workload.warmup, progress)
        after = calibrations(settings, parts, "after") if check else ()
        return summed_up(scenario, settings, parts, [side], (before, after))

    def send(
        self,
        count_tokens: Callable[[str], int] | None,
        run_name: str,
        name: str,
        requests: Sequence[RequestSpec],
        offsets_ns: Sequence[int],
        concurrency: int,
        enough: Enough | None,
    ) -> PhaseRun:
        """Send requests at their instants, and keep what comes.

        Args:
            count_tokens: re-tokenises a text; None: the server's own counts.
            run_name: no other run has it; with ``name`` it names the nonces.
            name: of the phase.
            requests: what is sent.
            offsets_ns: when, since the start, nanoseconds.
            concurrency: requests in flight at most.
            enough: may end the phase early.
        """
        settings = self.settings
        return run_phase(
            self.client,
            self.base_url,
            requests,
            model_id=self.model,
            dialect=self.dialect,
            phase_name=name,
            offsets_ns=offsets_ns,
            concurrency=concurrency,
            request_timeout_s=settings.request_timeout_s,
            count_tokens=count_tokens,
            min_length_ratio=settings.min_length_ratio,
            nonce_seed=f"{run_name}:{name}" if settings.client.nonce else None,
            also_named=self.also_named,
            enough=enough,
        )


def connect(
    base_url: str,
    served_models: Sequence[str],
    model_dir: Path,
    model_id: str,
    scenario: Scenario,
    settings: Measure,
) -> Server:
    """Find out under which name and dialect a ready server takes requests.

    Args:
        base_url: address without ``/v1``.
        served_models: what its ``/v1/models`` lists.
        model_dir: folder of the model that it should serve.
        model_id: name that it should serve the model under.
        scenario: its temperature is that of the phases to come.
        settings: client, time-outs and limits of everything that is measured.
    """
    spec = settings.client
    client = choose_client(base_url, spec.kind, spec.processes)
    model = served_model_name(served_models, model_dir)
    dialect = negotiate_dialect(
        client,
        base_url,
        model,
        temperature=scenario.temperature,
        request_timeout_s=settings.request_timeout_s,
    )
    names = (model_id, *served_models, str(model_dir))
    return Server(base_url, model, dialect, client, settings, names)
