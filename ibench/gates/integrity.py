"""Integrity rules: pure functions of what one server life showed.

A rule ends ``passed``, ``failed`` or ``not_applicable`` with the reason: without data
nothing is passed. The rules see text, times and the launcher. They do not see what a
server computes; a patient cheat that streams plausible text at a plausible pace passes
them, which is why the quality gate and the judge stand beside them.
"""

from __future__ import annotations

from collections.abc import Callable

from ibench.gates.checkpoint import launcher_checkpoint
from ibench.gates.seen import RunSeen, answered, finding, share
from ibench.gates.timing import first_chunk, held_back, physical_floor
from ibench.metrics.requests import is_completed, percentile
from ibench.records import Finding, LaunchOutcome, model_base_name

__all__ = ["RULES", "RunSeen", "judge_rules"]


def judge_rules(seen: RunSeen) -> tuple[Finding, ...]:
    """Apply every rule, in the order of ``RULES``."""
    return tuple(rule(seen) for rule in RULES)


def output_length(s: RunSeen) -> Finding:
    """Tokens that the server says it sent, and did not.

    An answer that ends early is a failed request (``short``) and no lie. A lie is a
    reported number above the recount by more than ``usage_tolerance`` and one token,
    in more than ``short_share`` of the answers; or completed answers that hold,
    together, less than ``1 - length_tolerance`` of the recounted tokens of the
    baseline's answers to the same requests. Text may recount to fewer tokens than were
    generated: the baseline's own ratio is allowed for.
    """
    seen = answered(s.results)
    if not seen:
        return finding("output_length", None, "no answer with text")
    allowed = max(1.0, _usage_ratio(s)) * (1 + s.gates.usage_tolerance)
    lies = [
        r.request_id
        for r in seen
        if r.usage_tokens is not None
        and r.tokens is not None
        and r.usage_tokens > max(r.tokens + 1, allowed * r.tokens)
    ]
    found = share("output_length", "lie", lies, len(seen), s.gates.short_share)
    sent = _tokens_over_baseline(s)
    if sent is None:
        return found
    least = 1 - s.gates.length_tolerance
    text = f"{found.evidence}; {sent:.1%} of the baseline's tokens (limit {least:.0%})"
    return finding("output_length", found.status == "passed" and sent >= least, text)


def usage_mismatch(s: RunSeen) -> Finding:
    """Reported completion tokens that differ from the recount of the text.

    Off is a difference above ``usage_tolerance`` of the recount, times the ratio that
    the baseline's answers have, and above one token (engines differ in whether the end
    token counts); fails above ``usage_share``.
    """
    ratio = _usage_ratio(s)
    counted = [
        (r.request_id, r.usage_tokens, r.tokens * ratio)
        for r in answered(s.results)
        if r.usage_tokens is not None and r.tokens is not None
    ]
    if not counted:
        return finding("usage_mismatch", None, "the server reports no usage")
    off = [
        request_id
        for request_id, usage, tokens in counted
        if abs(usage - tokens) > max(1.0, s.gates.usage_tolerance * tokens)
    ]
    return share("usage_mismatch", "off", off, len(counted), s.gates.usage_share)


def served_model(s: RunSeen) -> Finding:
    """Model ids of ``/v1/models`` and of responses other than the expected one.

    Last path parts are compared, without ``@revision``: engines name a model by its
    folder as well as by its hub id. What a server calls itself proves little: passed
    only says that no other name was shown.
    """
    named = {r.model for r in s.results if r.model}
    named |= set(s.evidence.launch.served_models)
    if not named:
        return finding("served_model", None, "the server names no model")
    allowed = {model_base_name(s.model_id), model_base_name(s.model_dir_name)}
    other = sorted(name for name in named if model_base_name(name) not in allowed)
    text = f"other names: {other}" if other else f"named: {sorted(named)}"
    return finding("served_model", not other, text)


def detached_server(s: RunSeen) -> Finding:
    """A launcher that returned and left a server, or processes left after the stop."""
    outcome, left = s.evidence.launch.outcome, s.evidence.left_behind
    if outcome is LaunchOutcome.DETACHED:
        return finding("detached_server", False, "the launcher left a server behind")
    if left:
        return finding("detached_server", False, f"left behind: {list(left)}")
    if outcome not in {LaunchOutcome.READY, LaunchOutcome.DIED}:
        return finding("detached_server", None, "no server ran")
    return finding("detached_server", True, "nothing left behind")


def own_cores(s: RunSeen) -> Finding:
    """Threads that could run on cores other than those the server was started on.

    Where the load client has cores of its own (``client.own_cores``), a server that
    takes them slows the client that measures it, and the baseline beside it.
    """
    if not s.evidence.host:
        return finding("own_cores", None, "nothing was loaded")
    count = s.evidence.strays
    text = f"{count} threads on cores that were not given (limit 0)"
    return finding("own_cores", not count, text)


def left_alone(s: RunSeen) -> Finding:
    """Connections with the baseline's server that the client did not open.

    Requests that wait there while it is stopped would be answered on its own time and
    make it slow (``pairing: alternate``). The client keeps none between two blocks.
    """
    if s.evidence.paired is None or s.evidence.paired.kind != "alternate":
        return finding("left_alone", None, "no baseline was up beside it")
    count = s.evidence.intrusions
    text = f"{count} foreign connections with the baseline beside it (limit 0)"
    return finding("left_alone", not count, text)


def evaluator_changed(s: RunSeen) -> Finding:
    """Files of evaluator or base model whose hash is not the one delivered."""
    changed = sorted(s.evidence.evaluator_changed)
    text = f"changed: {changed}" if changed else "no file changed"
    return finding("evaluator_changed", not changed, text)


def forced_engine(s: RunSeen) -> Finding:
    """Fail a server whose processes show another engine than the prompt demanded.

    Engines of one family (vLLM and its CPU build) match the same processes: the demand
    is met when the forced one is among what was seen, and broken when it is not.
    """
    forced, evidence = s.forced_engine, s.evidence
    if forced is None:
        return finding("forced_engine", None, "the prompt left the engine free")
    if evidence.launch.outcome is not LaunchOutcome.READY:
        return finding("forced_engine", None, "no server to look at")
    seen = ", ".join(evidence.engines) or "no engine that is known"
    return finding(
        "forced_engine", forced in evidence.engines, f"its processes: {seen}"
    )


RULES: tuple[Callable[[RunSeen], Finding], ...] = (
    first_chunk,
    held_back,
    output_length,
    usage_mismatch,
    physical_floor,
    served_model,
    launcher_checkpoint,
    detached_server,
    own_cores,
    left_alone,
    evaluator_changed,
    forced_engine,
)
"""Every rule, in the order in which findings are told; a new one is added here."""


def _usage_ratio(s: RunSeen) -> float:
    """Reported over recounted tokens of the baseline's answers: its median, else 1."""
    base = s.baseline.results if s.baseline else ()
    ratios = [
        r.usage_tokens / r.tokens for r in answered(base) if r.usage_tokens and r.tokens
    ]
    return percentile(ratios, 50) if ratios else 1.0


def _tokens_over_baseline(s: RunSeen) -> float | None:
    """Recounted tokens over the baseline's, over requests that both completed."""
    base = s.baseline.results if s.baseline else ()
    theirs = {(r.phase, r.request_id): r for r in base if is_completed(r)}
    pairs = [
        (r.tokens or 0, other.tokens or 0)
        for r in s.results
        if is_completed(r)
        and (other := theirs.get((r.phase, r.request_id))) is not None
        and other.requested_tokens == r.requested_tokens
    ]
    whole = sum(theirs for _, theirs in pairs)
    return sum(ours for ours, _ in pairs) / whole if whole else None
