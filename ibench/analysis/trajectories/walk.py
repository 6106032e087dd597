"""One pass over a run's events: what each one did, given what came before.

``Step`` is what rules on order need of an event. One run's steps are held at a time,
and texts are cut when read, so a run of any length costs at most some 50 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ibench.analysis.trajectories.events import AgentRun, Event, Measured
from ibench.analysis.trajectories.launches import Config, config_of, launches_in
from ibench.analysis.trajectories.measurements import accuracy_in, objective_in
from ibench.analysis.trajectories.rules import (
    error_in,
    is_benchmark,
    is_blocked,
    is_evaluation,
    is_install,
    is_launch,
    is_monitor,
    is_pure_read,
    is_quick,
    is_stop,
    launched_configs,
    launcher_written,
    measurements_of,
    runs_launcher,
    techniques_of,
    writes_evaluator,
)
from ibench.analysis.trajectories.tools import ToolGroup, tool_group

__all__ = ["ServerStart", "Step", "Walk"]

_HASH = "start_server.sh sha256:"
_FLAGS: Mapping[str, Callable[[Event], bool]] = {
    "install": is_install,
    "benchmark": is_benchmark,
    "monitor": is_monitor,
    "stop": is_stop,
    "read": is_pure_read,
    "evaluator_edited": writes_evaluator,
}


@dataclass(frozen=True)
class ServerStart:
    """One start of a server; its configuration is None where nobody shows it."""

    event: int
    config: Config | None
    key: str | None  # equal keys: equal arguments
    by_script: bool  # the launcher, not a server's own command


@dataclass(slots=True)
class Step:
    """What one event did."""

    event: Event
    group: ToolGroup = "unknown"
    launch: ServerStart | None = None
    written: Config | None = None
    changed: frozenset[str] = frozenset()
    only_removes: bool = False
    engine_changed: bool = False
    is_first: bool = False
    evaluation: str | None = None  # "full" or "quick"
    measured: Sequence[Measured] = ()
    objective: float | None = None
    error: str | None = None
    techniques: Sequence[tuple[str, str]] = ()
    flags: frozenset[str] = frozenset()


class Walk:
    """Reads events in order and keeps the state that rules on order need.

    Attributes:
        steps: one an event.
        script: configuration of the launcher as last written, None if unknown.
        script_key: its key, or the hash that a session names.
        engine: of the last launch or write.
    """

    def __init__(self, run: AgentRun, events: Iterable[Event]) -> None:
        """Walk over a run."""
        self.run = run
        self.steps: list[Step] = []
        self.script: Config | None = None
        self.script_key: str | None = None
        self.engine: str | None = None
        self.evaluated_keys: dict[str, list[Measured]] = {}
        self._last: Config | None = None
        self._running: str | None = None
        self._calls: dict[int, Step] = {}
        self._known = config_of(run.launcher) if run.launcher else None
        for event in events:
            self._take(event)

    def _take(self, event: Event) -> None:
        step = Step(event, techniques=techniques_of(event))
        self.steps.append(step)
        if event.kind == "tool_call":
            step.group = tool_group(event.tool)
            self._call(step)
            self._calls[event.index] = step
        elif event.kind == "tool_result":
            self._result(step)
        # The event itself is needed as long as a result may ask for its call.
        if len(self._calls) > 64:
            del self._calls[next(iter(self._calls))]

    def _call(self, step: Step) -> None:
        event = step.event
        step.flags = frozenset([name for name, is_so in _FLAGS.items() if is_so(event)])
        step.is_first = self._last is None
        body = launcher_written(event)
        if body is not None:
            self._write(step, body)
        if is_launch(event):
            self._launch(step)
        if is_evaluation(event):
            step.evaluation = "quick" if is_quick(event) else "full"

    def _write(self, step: Step, body: str) -> None:
        config = config_of(body)
        if config is None and self.script is not None:
            config = _overlay(self.script, body)
        step.written = self.script = config
        self.script_key = config.full_signature if config else None
        self._compare(step, config)

    def _launch(self, step: Step) -> None:
        own = launched_configs(step.event)
        config, key = (own[-1], own[-1].full_signature) if own else (None, None)
        if not own and runs_launcher(step.event):
            config, key = self._of_script(step.event.text)
        self._compare(step, config)
        step.launch = ServerStart(step.event.index, config, key, by_script=not own)
        if config is not None:
            self._last = config
        self._running = key

    def _of_script(self, text: str) -> tuple[Config | None, str | None]:
        """What the launcher script is at this moment; a session names it by hash."""
        _, mark, tail = text.partition(_HASH)
        if not mark:
            return self.script, self.script_key
        digest = tail[:12]
        shipped = (self.run.launcher_sha256 or "").startswith(digest)
        return (self._known if shipped else None), f"sha256:{digest}"

    def _compare(self, step: Step, config: Config | None) -> None:
        if config is None:
            return
        before = self._last
        step.engine_changed = before is not None and before.engine != config.engine
        old = {} if before is None or step.engine_changed else dict(before.flags)
        new = dict(config.flags)
        # What is new says more of the intent than what went with it.
        added = frozenset(k for k, v in new.items() if old.get(k) != v)
        step.changed = added or frozenset(old.keys() - new.keys())
        step.only_removes = bool(step.changed) and not added
        self.engine = config.engine

    def _result(self, step: Step) -> None:
        event = step.event
        call = self._calls.get(-1 if event.call is None else event.call)
        step.error = error_in(event)
        step.flags = frozenset({"blocked"}) if is_blocked(event) else frozenset()
        numbers = measurements_of(event, call.event if call else None)
        evaluation = call.evaluation if call else None
        if evaluation is not None:
            step.evaluation = evaluation
            step.objective = objective_in(event.text, self.run.scenario)
        config = call.launch.key if call and call.launch else self._running
        quick, accuracy = evaluation == "quick", accuracy_in(event.text)
        found = [(n, v) for n, v in numbers if n != "objective"]
        if step.objective is not None:
            found.append(("objective", step.objective))
        elif evaluation is None:
            found = numbers
        step.measured = [
            Measured(
                event=event.index,
                t_s=event.t_s,
                metric=name,
                value=value,
                is_evaluation=evaluation is not None,
                is_quick=quick,
                accuracy=accuracy if name == "objective" else None,
                config=config,
            )
            for name, value in found
        ]
        if config is not None and step.measured:
            self.evaluated_keys.setdefault(config, []).extend(step.measured)


def _overlay(script: Config, part: str) -> Config:
    """An edited launcher: the arguments named in the new part replace the old ones.

    Arguments that an edit removes are not seen, because scaffolds show the new text.
    """
    # A sed expression: what stands behind its last separator is the new text.
    new = part.split("/")[-2] if part.startswith(("s/", "-i s/", "-i s")) else part
    # Once by itself for the variables it sets, once as arguments.
    found = launches_in(f"{new}\n{_COMMANDS.get(script.engine, 'serve.py')} {new}")
    if not found:
        return script
    return Config(
        script.engine,
        {**script.flags, **found[-1].flags},
        {**script.all_flags, **found[-1].all_flags},
    )


_COMMANDS = {
    "vllm": "vllm serve",
    "sglang": "sglang serve",
    "tgi": "text-generation-launcher",
    "lmdeploy": "lmdeploy serve",
    "transformers": "transformers serve",
    "llama.cpp": "llama-server",
    "tensorrt-llm": "trtllm-serve",
    "reference": "python -m ibench.serving.reference",
}
