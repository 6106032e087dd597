"""Episodes: consecutive events with one intent, labelled with evidence and confidence.

Each call gets a family by the first rule that applies; what the agent says or thinks
goes with the call that follows, a result with its call. Neighbours of one family are
one episode. Confidence is the rule's own (``_CONFIDENCE``), lowered where rules
compete.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from ibench.analysis.trajectories.events import (
    OPTIMIZATION,
    AgentRun,
    Episode,
    Family,
    tier_of,
)
from ibench.analysis.trajectories.techniques import of_flag
from ibench.analysis.trajectories.walk import Step, Walk

__all__ = ["episodes_of_walk", "families_of_walk"]

_CONFIDENCE: dict[str, float] = {
    "one technique": 0.9,
    "several techniques": 0.65,
    "engine": 0.85,
    "launch": 0.85,
    "evaluator": 0.95,
    "benchmark": 0.8,
    "install": 0.9,
    "after an error": 0.7,
    "monitor": 0.8,
    "read": 0.75,
    "written": 0.5,
    "technique named": 0.55,
    "at the end": 0.6,
    "carried on": 0.4,
    "no call": 0.1,
}
# After an error this many calls may still be its repair.
_REPAIR = 8
_QUOTE = 100
_QUOTES = 4
_WORDS: dict[str, str] = {"kv_cache": "KV cache"}


@dataclass
class _Label:
    family: Family
    why: str
    quote: str
    factor: float = 1.0

    @property
    def confidence(self) -> float:
        return round(_CONFIDENCE[self.why] * self.factor, 3)


@dataclass
class _Group:
    family: Family
    steps: list[Step] = field(default_factory=list)
    labels: list[_Label] = field(default_factory=list)


def episodes_of_walk(run: AgentRun, walk: Walk) -> list[Episode]:
    """Cut a run that was walked already."""
    groups = _grouped(walk.steps, _labelled(walk))
    engine: str | None = None
    episodes = []
    for index, group in enumerate(groups):
        engine = _engine(group) or engine
        episodes.append(_episode(run, index, group, engine))
    return episodes


def families_of_walk(walk: Walk) -> dict[int, Family]:
    """Give the family of every event, as its episode has it."""
    groups = _grouped(walk.steps, _labelled(walk))
    return {s.event.index: g.family for g in groups for s in g.steps}


def _labelled(walk: Walk) -> dict[int, _Label | None]:
    """A label for every call; None where the call says nothing by itself."""
    labels: dict[int, _Label | None] = {}
    errors_left = 0
    last_work = -1
    for step in walk.steps:
        if step.event.kind == "tool_result":
            if _breaks(step, walk.steps):
                errors_left = _REPAIR
            elif step.measured and step.evaluation:
                errors_left = 0
            continue
        if step.event.kind != "tool_call":
            continue
        label = _label(step, repairing=errors_left > 0)
        labels[step.event.index] = label
        # A launch is the attempt at a repair; if it fails, its result says so.
        errors_left = 0 if step.launch else max(0, errors_left - 1)
        if step.launch or step.evaluation or _is_optimization(label):
            last_work = step.event.index
    if last_work >= 0:
        _close(labels, last_work)
    return labels


def _breaks(step: Step, steps: Sequence[Step]) -> bool:
    """Whether a result is a failure to repair; a search without hits is none."""
    if step.error is None:
        return False
    call = step.event.call
    reads = call is not None and "read" in steps[call].flags
    return not (reads and step.error.startswith(("exit code", "No such file")))


def _is_optimization(label: _Label | None) -> bool:
    return label is not None and label.family in OPTIMIZATION


def _close(labels: dict[int, _Label | None], last_work: int) -> None:
    """What comes after the last work, and only looks or copies, finalises."""
    for index, label in labels.items():
        is_late = index > last_work
        if is_late and (label is None or label.why in {"read", "written", "monitor"}):
            quote = label.quote if label else ""
            labels[index] = _Label("finalising", "at the end", quote)


def _label(step: Step, *, repairing: bool) -> _Label | None:
    quote = " ".join(step.event.text.split())[:_QUOTE]
    changed = _changed(step, quote)
    # To take away what failed is a repair.
    if changed is not None and not (repairing and step.launch and step.only_removes):
        return changed
    if step.evaluation or ("benchmark" in step.flags and not step.launch):
        why = "evaluator" if step.evaluation else "benchmark"
        return _Label("evaluating", why, quote)
    if "install" in step.flags:
        return _Label("installing", "install", quote)
    # What never ran is no repair.
    is_new = step.is_first and (step.launch or step.written)
    if repairing and not is_new and step.group in {"shell", "write", "read", "poll"}:
        return _Label("debugging", "after an error", quote)
    if step.launch or step.written:
        return _Label("launching", "launch", quote, 1.0 if step.launch else 0.8)
    return _minor(step, quote)


def _minor(step: Step, quote: str) -> _Label | None:
    if "stop" in step.flags:
        return None  # clears the way for what comes next
    if "monitor" in step.flags and not step.is_first:
        return _Label("monitoring", "monitor", quote)
    if "read" in step.flags or "monitor" in step.flags:
        return _Label("inspecting", "read", quote)
    if step.techniques and step.group in {"write", "shell"}:
        name, words = step.techniques[0]
        family = next(f for f in OPTIMIZATION if f == name)
        return _Label(family, "technique named", f"{words}: {quote}")
    if step.group == "write":
        return _Label("launching", "written", quote)
    return _Label("inspecting", "read", quote, 0.6) if step.group == "shell" else None


def _changed(step: Step, quote: str) -> _Label | None:
    """A launch or a launcher that differs from the launch before it."""
    if step.evaluation and step.launch and step.launch.by_script:
        return None  # what changed in the script counted when it was written
    if step.engine_changed:
        return _Label("engine_selection", "engine", quote)
    families = Counter(f for flag in step.changed if (f := of_flag(flag)))
    # Numbers beside a technique serve it; alone, and not first, they are the subject.
    techniques = {f: n for f, n in families.items() if f != "hyperparameters"}
    if not techniques:
        if not families or step.is_first:
            return None
        return _Label("hyperparameters", "one technique", _flags(step))
    ranked = sorted(techniques, key=lambda f: (-techniques[f], OPTIMIZATION.index(f)))
    why = "one technique" if len(techniques) == 1 else "several techniques"
    return _Label(ranked[0], why, _flags(step))


def _flags(step: Step) -> str:
    return ("changes " + ", ".join(f"--{f}" for f in sorted(step.changed)))[:_QUOTE]


def _grouped(steps: Sequence[Step], labels: dict[int, _Label | None]) -> list[_Group]:
    groups: list[_Group] = []
    waiting: list[Step] = []
    for step in steps:
        waiting.append(step)
        label = labels.get(step.event.index)
        if step.event.kind == "tool_result" and groups and not _has_call(waiting):
            groups[-1].steps.extend(waiting)
            waiting = []
        elif label is not None:
            if not groups or groups[-1].family != label.family:
                groups.append(_Group(label.family))
            groups[-1].steps.extend(waiting)
            groups[-1].labels.append(label)
            waiting = []
    if waiting and not groups:
        groups.append(_Group("inspecting", [], [_Label("inspecting", "no call", "")]))
    if waiting:
        groups[-1].steps.extend(waiting)
    return _smooth(groups)


def _has_call(steps: Sequence[Step]) -> bool:
    return any(s.event.kind == "tool_call" for s in steps)


def _smooth(groups: list[_Group]) -> list[_Group]:
    """Join a look of one call with what it interrupts."""
    done: list[_Group] = []
    for group in groups:
        is_look = (
            len(done) >= 2
            and done[-1].family in {"monitoring", "inspecting"}
            and len(done[-1].labels) == 1
            and done[-2].family == group.family
        )
        if is_look:
            done[-2].steps.extend(done.pop().steps)
        if done and done[-1].family == group.family:
            done[-1].steps.extend(group.steps)
            done[-1].labels.extend(group.labels)
        else:
            done.append(group)
    return done


def _engine(group: _Group) -> str | None:
    for step in reversed(group.steps):
        config = step.launch.config if step.launch else step.written
        if config is not None:
            return config.engine
    return None


def _episode(run: AgentRun, index: int, group: _Group, engine: str | None) -> Episode:
    steps, labels = group.steps, group.labels
    times = [s.event.t_s for s in steps if s.event.t_s is not None]
    scores = [s.objective for s in steps if s.objective is not None]
    quotes = [label.quote for label in labels if label.quote]
    quotes += [f"error: {s.error}" for s in steps if s.error][:1]
    launches = sum(s.launch is not None for s in steps)
    evaluations = sum(
        s.evaluation is not None and s.event.kind == "tool_call" for s in steps
    )
    confidence = sum(label.confidence for label in labels) / len(labels)
    return Episode(
        run_id=run.run_id,
        index=index,
        first=steps[0].event.index,
        last=steps[-1].event.index,
        t_start_s=times[0] if times else None,
        t_end_s=times[-1] if times else None,
        family=group.family,
        tier=tier_of(group.family),
        engine=engine,
        evidence=tuple(dict.fromkeys(quotes))[:_QUOTES],
        confidence=round(confidence, 3),
        had_launch=launches > 0,
        had_eval=evaluations > 0,
        score=scores[-1] if scores else None,
        summary=_summary(group, launches, evaluations, scores),
    )


def _summary(
    group: _Group, launches: int, evaluations: int, scores: Sequence[float]
) -> str:
    name = _WORDS.get(group.family, group.family.replace("_", " "))
    parts = [f"{name}: {len(group.labels)} calls"]
    parts += [f"{launches} launches"] if launches else []
    parts += [f"{evaluations} evaluations"] if evaluations else []
    parts += [f"objective {scores[-1]:.4g}"] if scores else []
    return ", ".join(parts)
