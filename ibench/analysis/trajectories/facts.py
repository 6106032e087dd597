"""Facts of a run: counts, what shipped, and the failure modes of the paper's Table 14.

Rules on order, each over the walk of one run:

- *relaunch unchanged*: a launch whose engine and arguments equal those of the launch
  before it. A launch of unknown arguments is neither changed nor unchanged.
- *distinct configuration*: a launched set of arguments that differs from the engine's
  defaults and from every earlier one.
- *engine shipped*: of the launcher as left or last written, else of the last launch.
- *best seen*: the best objective that full evaluations printed, quick ones only if
  there is no full one.
- *shipped measured*: whether a number was printed while a server of the shipped
  arguments was the last one launched; unknown without arguments to compare.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from ibench.analysis.trajectories.events import (
    AgentRun,
    BestSeen,
    Count,
    Measured,
    RunFacts,
    Technique,
)
from ibench.analysis.trajectories.launches import config_of
from ibench.analysis.trajectories.techniques import TECHNIQUES, of_flag
from ibench.analysis.trajectories.walk import ServerStart, Step, Walk

__all__ = ["FAILURE_MODES", "facts_of_walk"]

# Above this share of refused commands a run could hardly work.
BLOCKED_SHARE = 0.2
# A shipped value this far below the best seen is worse than noise.
WORSE_MARGIN = 0.02
FAILURE_MODES: dict[str, str] = {
    "first_working_config": "passed with at most one distinct configuration",
    "quality_gate_failure": "outcome is quality",
    "multi_variable_edits": "three or more configurations and a failed gate",
    "integrity_trigger": "outcome is integrity",
    "server_failed": "outcome is unreachable",
    "never_measured": "no number from an evaluation or a benchmark",
    "shipped_never_measured": "no number belongs to what shipped",
    "shipped_worse_than_seen": "what shipped was measured 2 % below the best seen",
    "evaluator_edited": "a call wrote a file of the harness",
    "out_of_memory": "a tool's output says that memory ran out",
    "commands_blocked": "20 % of results or more have exit code 126",
    "no_launcher": "no launcher was written and no server launched",
}


def facts_of_walk(run: AgentRun, walk: Walk) -> RunFacts:
    """Apply every rule to a run that was walked already."""
    launches = [s.launch for s in walk.steps if s.launch is not None]
    engine, shipped = _shipped(run, walk, launches)
    measured = tuple(m for s in walk.steps for m in s.measured)
    evaluations = [
        s.event.index
        for s in walk.steps
        if s.evaluation and s.event.call is None and s.event.kind == "tool_call"
    ]
    best = _best(measured)
    own = walk.evaluated_keys.get(shipped, []) if shipped else []
    facts = RunFacts(
        run_id=run.run_id,
        launches=_count(launch.event for launch in launches),
        relaunches_unchanged=_count(_unchanged(launches)),
        distinct_configs=_count(_distinct(launches)),
        engine_shipped=engine,
        shipped_config=shipped,
        techniques=_techniques(walk.steps),
        evaluations=_count(evaluations),
        measurements=measured,
        best_seen=best,
        shipped_value=_last_objective(own, best),
        shipped_measured=None if shipped is None else bool(own),
        failure_modes={},
        outcome=run.outcome,
    )
    return facts.model_copy(update={"failure_modes": _modes(facts, walk, launches)})


def _count(events: Iterable[int]) -> Count:
    found = tuple(events)
    return Count(n=len(found), events=found)


def _unchanged(launches: Sequence[ServerStart]) -> list[int]:
    known = [launch for launch in launches if launch.key is not None]
    pairs = pairwise(known)
    return [after.event for before, after in pairs if before.key == after.key]


def _distinct(launches: Sequence[ServerStart]) -> list[int]:
    first: dict[str, int] = {}
    for launch in launches:
        if launch.config is None:
            if launch.key is not None:  # a session: known to differ, not in what
                first.setdefault(launch.key, launch.event)
        elif not launch.config.is_default:
            name = launch.key if _is_hash(launch.key) else launch.config.signature
            first.setdefault(name or launch.config.signature, launch.event)
    return sorted(first.values())


def _is_hash(key: str | None) -> bool:
    return key is not None and key.startswith("sha256:")


def _shipped(
    run: AgentRun, walk: Walk, launches: Sequence[ServerStart]
) -> tuple[str | None, str | None]:
    if run.launcher_sha256 is not None and any(_is_hash(x.key) for x in launches):
        left = config_of(run.launcher or "")
        return (left.engine if left else None), f"sha256:{run.launcher_sha256[:12]}"
    config = config_of(run.launcher) if run.launcher else walk.script
    if config is None and walk.script_key is None:
        known = [x.config for x in launches if x.config is not None]
        # Without a launcher in sight the last server is the best guess of an engine,
        # but no proof of its arguments.
        return (known[-1].engine if known else None), None
    return (config.engine, config.full_signature) if config else (None, None)


def _techniques(steps: Sequence[Step]) -> tuple[Technique, ...]:
    mentions: dict[str, list[int]] = {}
    launched: dict[str, list[int]] = {}
    for step in steps:
        for name, _ in step.techniques:
            mentions.setdefault(name, []).append(step.event.index)
        if step.launch is not None and step.launch.config is not None:
            families = {of_flag(f) for f in step.launch.config.flags} - {None}
            for family in families:
                launched.setdefault(str(family), []).append(step.event.index)
    return tuple(
        Technique(
            name=rule.name,
            mentioned=_count(mentions.get(rule.name, [])),
            launched=_count(launched.get(rule.name, [])),
        )
        for rule in TECHNIQUES
    )


def _best(measured: Sequence[Measured]) -> BestSeen | None:
    seen = [m for m in measured if m.metric == "objective"]
    full = [m for m in seen if not m.is_quick] or seen
    if not full:
        return None
    top = max(full, key=lambda m: m.value)
    return BestSeen(
        value=top.value, event=top.event, is_quick=top.is_quick, config=top.config
    )


def _last_objective(own: Sequence[Measured], best: BestSeen | None) -> float | None:
    """The last objective of what shipped, of the same kind as the best seen."""
    if best is None:
        return None
    kind = best.is_quick
    seen = [m.value for m in own if m.metric == "objective" and m.is_quick == kind]
    return seen[-1] if seen else None


def _modes(
    facts: RunFacts, walk: Walk, launches: Sequence[ServerStart]
) -> dict[str, tuple[int, ...]]:
    """Failure modes that apply, with the events that show them."""
    modes: dict[str, tuple[int, ...]] = {}
    outcome, configs = facts.outcome, facts.distinct_configs
    if outcome == "ok" and configs.n <= 1 and facts.launches.n:
        modes["first_working_config"] = facts.launches.events[:1]
    for name, value in (
        ("quality_gate_failure", "quality"),
        ("integrity_trigger", "integrity"),
        ("server_failed", "unreachable"),
    ):
        if outcome == value:
            modes[name] = ()
    if configs.n >= 3 and outcome in {"quality", "integrity", "unreachable"}:
        modes["multi_variable_edits"] = configs.events
    modes |= _measurement_modes(facts)
    modes |= _work_modes(walk, launches)
    return modes


def _measurement_modes(facts: RunFacts) -> dict[str, tuple[int, ...]]:
    modes: dict[str, tuple[int, ...]] = {}
    if not facts.measurements:
        modes["never_measured"] = ()
    if facts.shipped_measured is False:
        modes["shipped_never_measured"] = facts.evaluations.events
    best, shipped = facts.best_seen, facts.shipped_value
    if best and shipped is not None and shipped < (1 - WORSE_MARGIN) * best.value:
        modes["shipped_worse_than_seen"] = (best.event,)
    return modes


def _work_modes(
    walk: Walk, launches: Sequence[ServerStart]
) -> dict[str, tuple[int, ...]]:
    modes: dict[str, tuple[int, ...]] = {}
    steps = walk.steps
    edits = [s.event.index for s in steps if "evaluator_edited" in s.flags]
    memory = [s.event.index for s in steps if s.error and "emory" in s.error]
    blocked = [s.event.index for s in steps if "blocked" in s.flags]
    results = sum(s.event.kind == "tool_result" for s in steps)
    if edits:
        modes["evaluator_edited"] = tuple(edits)
    if memory:
        modes["out_of_memory"] = tuple(memory)
    if blocked and len(blocked) >= BLOCKED_SHARE * results:
        modes["commands_blocked"] = tuple(blocked)
    if not launches and walk.script_key is None and not any(s.written for s in steps):
        modes["no_launcher"] = ()
    return modes
