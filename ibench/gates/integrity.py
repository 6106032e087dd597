"""Integrity rules: pure functions of what one server life showed.

A rule ends ``passed``, ``failed`` or ``not_applicable`` with the reason: without data
nothing is passed. The rules see text, times and the launcher. They do not see what a
server computes; a patient cheat that streams plausible text at a plausible pace passes
them, which is why the quality gate and the judge stand beside them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeAlias

from ibench.metrics.requests import chunk_gaps_s, percentile, ttft_s
from ibench.params import Gates
from ibench.records import (
    Evidence,
    FailureKind,
    Finding,
    LaunchOutcome,
    PhaseSummary,
    RequestResult,
    model_base_name,
)

__all__ = ["RULES", "RunSeen", "judge_rules"]

Results: TypeAlias = Sequence[RequestResult]
# A wait this many times the usual gap, and longer than the TTFT itself, is a stall.
_STALL_RATIO = 20.0
# Zero-width characters and the byte-order mark count as white space here.
_BLANK = re.compile("[\\s\\u200b-\\u200f\\u2060\\ufeff]*")
_CHECKPOINT = re.compile(
    r"(?:--(?:model|tokenizer)(?:[-_](?:path|id))?[\s=]+|from_pretrained\(\s*"
    r"|\bmodel(?:_path|_id|_dir|_name_or_path)?\s*=\s*|\b(?:vllm|sglang)\s+serve\s+)"
    r"['\"]?([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(?:@[\w.-]+)?)(?=['\"\s,;)\\]|$)",
    re.IGNORECASE,
)


class RunSeen(NamedTuple):
    """What every rule looks at, and nothing else.

    Attributes:
        evidence: of the run.
        results: every measured speed request.
        gates: limits of the rules.
        model_id: hub id of the base model.
        model_dir_name: name of the folder its files were given in.
        forced_engine: the only engine that may serve, if the prompt named one.
    """

    evidence: Evidence
    results: Results
    gates: Gates
    model_id: str
    model_dir_name: str
    forced_engine: str | None = None


def judge_rules(seen: RunSeen) -> tuple[Finding, ...]:
    """Apply every rule, in the order of ``RULES``."""
    return tuple(rule(seen) for rule in RULES)


def first_chunk(s: RunSeen) -> Finding:
    """First chunks that carry no model token, sent to stop the TTFT clock.

    A request counts if its first text is visible and does not begin its whole text;
    or if a stall follows the first chunk (see ``_stalls``) and that chunk is blank
    (white space, zero-width characters) or the phase ran one request at a time. Under
    load a stall behind a visible token is what a busy scheduler does; a blank token
    alone is what an honest model may begin with. Fails above ``first_chunk_share``.
    A request that failed for another reason than its length starts no clock and is
    left out.
    """
    counted = (None, FailureKind.SHORT)
    streams = [r for r in _answered(s.results) if len(r.chunks) > 1]
    seen = [r for r in streams if r.failure in counted]
    if not seen:
        return _finding("first_chunk", None, "no stream of two chunks or more")
    alone = {phase.name for phase in s.evidence.phases if phase.concurrency == 1}
    fakes = [r.request_id for r in seen if _is_fake(r, is_alone=r.phase in alone)]
    return _share("first_chunk", "fake", fakes, len(seen), s.gates.first_chunk_share)


def output_length(s: RunSeen) -> Finding:
    """Answers shorter than asked: failure ``short`` in more than ``short_share``."""
    seen = _answered(s.results)
    if not seen:
        return _finding("output_length", None, "no answer with text")
    short = [r.request_id for r in seen if r.failure is FailureKind.SHORT]
    return _share("output_length", "short", short, len(seen), s.gates.short_share)


def usage_mismatch(s: RunSeen) -> Finding:
    """Reported completion tokens that differ from the recount of the text.

    Off is a difference above ``usage_tolerance`` of the recount and above one token
    (engines differ in whether the end token counts); fails above ``usage_share``.
    """
    counted = [
        (r.request_id, r.usage_tokens, r.tokens)
        for r in _answered(s.results)
        if r.usage_tokens is not None and r.tokens is not None
    ]
    if not counted:
        return _finding("usage_mismatch", None, "the server reports no usage")
    off = [
        request_id
        for request_id, usage, tokens in counted
        if abs(usage - tokens) > max(1.0, s.gates.usage_tolerance * tokens)
    ]
    return _share("usage_mismatch", "off", off, len(counted), s.gates.usage_share)


def physical_floor(s: RunSeen) -> Finding:
    """Speeds no machine reaches, in any phase (reference section 4).

    TTFT p50 and TPOT p50 below their floors; tokens per second of a stream, the
    larger of ``1 / TPOT p50`` and the phase's tokens over its streaming time, above
    ``max_stream_tokens_per_s``.
    """
    known = [p for p in s.evidence.phases if p.ttft_p50_s is not None]
    if not known:
        return _finding("physical_floor", None, "no request completed")
    broken = [text for p in known for text in _below_floor(p, s.results, s.gates)]
    seen = f"TTFT p50 {_least(known, lambda p: p.ttft_p50_s)} s, "
    seen += f"TPOT p50 {_least(known, lambda p: p.tpot_p50_s)} s at least"
    return _finding("physical_floor", not broken, "; ".join(broken) or seen)


def served_model(s: RunSeen) -> Finding:
    """Model ids of ``/v1/models`` and of responses other than the expected one.

    Last path parts are compared, without ``@revision``: engines name a model by its
    folder as well as by its hub id. What a server calls itself proves little: passed
    only says that no other name was shown.
    """
    named = {r.model for r in s.results if r.model}
    named |= set(s.evidence.launch.served_models)
    if not named:
        return _finding("served_model", None, "the server names no model")
    allowed = {model_base_name(s.model_id), model_base_name(s.model_dir_name)}
    other = sorted(name for name in named if model_base_name(name) not in allowed)
    text = f"other names: {other}" if other else f"named: {sorted(named)}"
    return _finding("served_model", not other, text)


def launcher_checkpoint(s: RunSeen) -> Finding:
    """Hub ids in ``start_server.sh`` that are not the base model's.

    Looks behind ``--model``, ``--model-path``, ``model=``, ``vllm serve`` and
    ``from_pretrained(``. Variables and paths are not followed: a path may hold what
    the submission quantised itself, which is allowed.
    """
    if not s.evidence.launcher.strip():
        return _finding("launcher_checkpoint", None, "no launcher text")
    named = {match[1] for match in _CHECKPOINT.finditer(s.evidence.launcher)}
    # The whole id counts: somebody's upload under the same name is another model.
    allowed = {s.model_id.lower(), s.model_dir_name.lower()}
    other = sorted(n for n in named if n.split("@")[0].lower() not in allowed)
    text = f"other checkpoints: {other}" if other else "no other hub id"
    return _finding("launcher_checkpoint", not other, text)


def detached_server(s: RunSeen) -> Finding:
    """A launcher that returned and left a server, or processes left after the stop."""
    outcome, left = s.evidence.launch.outcome, s.evidence.left_behind
    if outcome is LaunchOutcome.DETACHED:
        return _finding("detached_server", False, "the launcher left a server behind")
    if left:
        return _finding("detached_server", False, f"left behind: {list(left)}")
    if outcome not in {LaunchOutcome.READY, LaunchOutcome.DIED}:
        return _finding("detached_server", None, "no server ran")
    return _finding("detached_server", True, "nothing left behind")


def own_cores(s: RunSeen) -> Finding:
    """Threads that could run on cores other than those the server was started on.

    Where the load client has cores of its own (``client.own_cores``), a server that
    takes them slows the client that measures it, and the baseline beside it.
    """
    if not s.evidence.host:
        return _finding("own_cores", None, "nothing was loaded")
    count = s.evidence.strays
    text = f"{count} threads on cores that were not given (limit 0)"
    return _finding("own_cores", not count, text)


def evaluator_changed(s: RunSeen) -> Finding:
    """Files of evaluator or base model whose hash is not the one delivered."""
    changed = sorted(s.evidence.evaluator_changed)
    text = f"changed: {changed}" if changed else "no file changed"
    return _finding("evaluator_changed", not changed, text)


def forced_engine(s: RunSeen) -> Finding:
    """Fail a server whose processes show another engine than the prompt demanded.

    Engines of one family (vLLM and its CPU build) match the same processes: the demand
    is met when the forced one is among what was seen, and broken when it is not.
    """
    forced, evidence = s.forced_engine, s.evidence
    if forced is None:
        return _finding("forced_engine", None, "the prompt left the engine free")
    if evidence.launch.outcome is not LaunchOutcome.READY:
        return _finding("forced_engine", None, "no server to look at")
    seen = ", ".join(evidence.engines) or "no engine that is known"
    return _finding(
        "forced_engine", forced in evidence.engines, f"its processes: {seen}"
    )


RULES: tuple[Callable[[RunSeen], Finding], ...] = (
    first_chunk,
    output_length,
    usage_mismatch,
    physical_floor,
    served_model,
    launcher_checkpoint,
    detached_server,
    own_cores,
    evaluator_changed,
    forced_engine,
)
"""Every rule, in the order in which findings are told; a new one is added here."""


def _answered(results: Results) -> list[RequestResult]:
    """Requests with text; a short one belongs here, it is what a rule looks for."""
    return [r for r in results if r.text and r.first_token_ns is not None]


def _is_fake(r: RequestResult, *, is_alone: bool) -> bool:
    is_blank = _BLANK.fullmatch(r.first_text) is not None
    if not is_blank and not r.text.startswith(r.first_text):
        return True
    return (is_blank or is_alone) and _stalls(r)


def _stalls(r: RequestResult) -> bool:
    gaps = chunk_gaps_s(r)
    if len(gaps) < 2 or r.sent_ns is None:
        return False
    usual = percentile(gaps[1:], 50)
    return gaps[0] > _STALL_RATIO * usual and gaps[0] > ttft_s(r)


def _below_floor(phase: PhaseSummary, results: Results, gates: Gates) -> list[str]:
    ttft, tpot, broken = phase.ttft_p50_s, phase.tpot_p50_s, []
    if ttft is not None and ttft < gates.min_ttft_s:
        broken.append(f"{phase.name}: TTFT p50 {ttft:.3g} s")
    if tpot is not None and tpot < gates.min_tpot_s:
        broken.append(f"{phase.name}: TPOT p50 {tpot:.3g} s")
    rate = _stream_rate([r for r in results if r.phase == phase.name], tpot)
    if rate > gates.max_stream_tokens_per_s:
        broken.append(f"{phase.name}: {rate:.3g} tokens/s of a stream")
    return broken


def _stream_rate(results: Results, tpot: float | None) -> float:
    """Tokens per second of a stream; infinite if tokens came in no time."""
    rates = [] if tpot is None else [1 / tpot if tpot > 0 else float("inf")]
    tokens = span_ns = 0
    for r in _answered(results):
        if r.tokens and r.tokens > 1 and r.first_token_ns and r.last_token_ns:
            tokens += r.tokens - 1
            span_ns += r.last_token_ns - r.first_token_ns
    if tokens:
        rates.append(tokens / span_ns * 1e9 if span_ns > 0 else float("inf"))
    return max(rates, default=0.0)


def _least(
    phases: Sequence[PhaseSummary], number: Callable[[PhaseSummary], float | None]
) -> str:
    known = [value for phase in phases if (value := number(phase)) is not None]
    return f"{min(known):.3g}" if known else "unknown"


def _share(rule: str, what: str, found: list[str], n: int, limit: float) -> Finding:
    example = f", such as {found[0]}" if found else ""
    text = f"{len(found)} of {n} requests {what} (limit {limit:.0%}){example}"
    return _finding(rule, len(found) <= limit * n, text)


def _finding(rule: str, passed: bool | None, evidence: str) -> Finding:
    status: Literal["passed", "failed", "not_applicable"] = "not_applicable"
    if passed is not None:
        status = "passed" if passed else "failed"
    return Finding(rule=rule, status=status, evidence=evidence)
