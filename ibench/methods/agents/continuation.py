"""What happens when an agent stops before its budget does: rules, as pure functions.

1. A turn that ended well is resumed with the time left stated. An agent that cannot be
   resumed begins a new conversation in the same folder.
2. ``idle_turns`` turns in a row shorter than ``idle_turn_s`` end the session: the agent
   has nothing more to do. So does less than ``min_left_s`` on the clock.
3. A turn that failed is resumed once; if the resumed one fails too, a new conversation
   begins, after a pause. After ``fresh_starts`` conversations that ended in failure the
   session has crashed.
4. When the provider refuses (rate limit, overload, no connection) the agent is resumed
   after a pause that doubles; the clock goes on. After ``provider_tries`` in a row the
   session stops as an infrastructure outcome.
5. A session without one answer of the model has not taken place, however it ended.
6. No credit, a refused login, an unknown model, a missing program, a driver that died:
   infrastructure too, at once. A refusal on safety grounds ends the session as the
   agent's own outcome.

The counts survive a preemption; a session that its provider stopped has its tries anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from ibench.params import Continuation

__all__ = [
    "INFRASTRUCTURE", "Counts", "Decision", "Turn", "TurnKind", "TurnRules", "classify",
    "needs_a_person", "time_left", "without_answer",
]  # fmt: skip

TurnKind: TypeAlias = Literal[
    "ended",
    "failed",
    "refused",
    "rate_limited",
    "provider_down",
    "out_of_credit",
    "login_failed",
    "no_model",
    "missing_cli",
    "driver_lost",
]
INFRASTRUCTURE = frozenset[str](get_args(TurnKind)) - {"ended", "failed", "refused"}
MAX_PAUSE_S = 120.0
_TRANSIENT = ("rate_limited", "provider_down")
_BY_ERROR: dict[str, TurnKind] = {
    "ApiRateLimitError": "rate_limited",
    "ApiUsageLimitError": "out_of_credit",
    "AgentAuthenticationError": "login_failed",
    "ModelNotFoundError": "no_model",
    "ApiProviderResourceNotFoundError": "no_model",
    "AgentSafetyRefusalError": "refused",
    "MissingCliError": "missing_cli",
    "ApiInternalServerError": "provider_down",
    "ApiOverloadedError": "provider_down",
    "ApiConnectionClosedError": "provider_down",
    "ApiResponseStalledError": "provider_down",
    "NetworkConnectionError": "provider_down",
    "InfrastructureError": "driver_lost",
}
# A number is a status where one is spoken of: tests, too, can pass 429 times.
_STATUS = r"(?:\bHTTP(?:/[\d.]+)?|\bstatus(?:[ _]?code)?|\bcode|\berror)[\"'\\\s:=(]*"
_CREDIT = r"insufficient_quota|credit balance is too low|billing_error"
_CONNECTION = (
    r"ECONNREFUSED|ENOTFOUND|Connection ?Refused|Unable to connect|Connection error"
    r"|error sending request|stream disconnected"
)
# What providers answer, word for word, where Harbor saw an error without a class.
_BY_WORDS: tuple[tuple[str, TurnKind], ...] = (
    (
        r"authentication_error|invalid_api_key|AuthenticationError|\b401 Unauthorized"
        r"|invalid x-api-key|token (has )?expired|Please run /login",
        "login_failed",
    ),
    (
        r"rate_limit_error|RateLimitError|rate_limit_exceeded|\b429 Too Many Requests"
        rf"|{_STATUS}429\b",
        "rate_limited",
    ),
    (
        r"overloaded_error|(?<![\"'])\b(?:ServiceUnavailable|InternalServerError)",
        "provider_down",
    ),
    (_CONNECTION, "provider_down"),
)
# The agent's own server fails on this host: what names it this close says nothing of
# the provider.
_LOCAL = re.compile(r"\b127\.\d+\.\d+\.\d+|\blocalhost\b|\[::1\]|\b0\.0\.0\.0\b", re.I)
_BEFORE, _AFTER = 200, 60


@dataclass(frozen=True)
class Turn:
    """One run of the agent's program.

    Attributes:
        error: name of what Harbor raised, None if the program ended well.
        family: that name and its base classes'.
        exit_code: of a script; Harbor tells success from failure only.
        provider: where the agent's model answers, as ``host:port``, if it is told so.
    """

    took_s: float
    error: str | None = None
    family: tuple[str, ...] = ()
    detail: str = ""
    exit_code: int | None = None
    provider: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decision:
    """What to do next."""

    action: Literal["resume", "fresh", "end"]
    outcome: str = ""
    pause_s: float = 0.0


def classify(turn: Turn) -> TurnKind:
    """Say what ended a turn."""
    if turn.error is None:
        return "ended"
    # Providers answer 429 for both, and only one of them passes by waiting.
    if re.search(_CREDIT, turn.detail, re.I):
        return "out_of_credit"
    for name in (turn.error, *turn.family):
        if name == "NetworkConnectionError" and _is_local(turn):
            return "failed"
        if name in _BY_ERROR:
            return _BY_ERROR[name]
    for pattern, kind in _BY_WORDS:
        if any(not local for local in _places(pattern, turn)):
            return kind
    return "provider_down" if "ApiError" in turn.family else "failed"


def _places(pattern: str, turn: Turn) -> list[bool]:
    """Every place where it is said: whether of a server on the agent's own host."""
    # The agent's command comes first, and with it the task.
    text = turn.detail.partition(" stdout: ")[2] or turn.detail
    for provider in turn.provider:
        text = text.replace(provider, "provider")
    places = []
    for said in re.finditer(pattern, text, re.I):
        event = text.rfind('{"', 0, said.start())
        begin = max(0, event, said.start() - _BEFORE)
        places.append(bool(_LOCAL.search(text, begin, said.end() + _AFTER)))
    return places


def _is_local(turn: Turn) -> bool:
    """Whether every connection that failed was one to the agent's own host."""
    places = _places(rf"{_CONNECTION}|curl: \(\d+\)|Connection timed out", turn)
    return bool(places) and all(places)


def without_answer(turn: Turn | None) -> TurnKind:
    """Name the outcome of a session in which the model never answered."""
    kind = classify(turn) if turn else "provider_down"
    return kind if kind in INFRASTRUCTURE else "provider_down"


def needs_a_person(turn: Turn) -> bool:
    """Whether waiting cannot help: somebody must log in, pay, install or choose."""
    kind = classify(turn)
    return kind in INFRASTRUCTURE and kind not in (*_TRANSIENT, "driver_lost")


def time_left(left_s: float) -> str:
    """Tell an agent that stopped early how much of its budget is left."""
    minutes, seconds = divmod(int(left_s), 60)
    return (
        f"You stopped, and {minutes} minutes {seconds} seconds of your budget are left."
    )


@dataclass(frozen=True)
class Counts:
    """What the rules hold against an agent and its provider so far.

    Attributes:
        fresh_starts: the first conversation, and those begun after a failure.
        idle: short turns in a row.
        refusals: the provider's, in a row.
        failures: of the agent's program, in a row.
    """

    fresh_starts: int = 1
    idle: int = 0
    refusals: int = 0
    failures: int = 0


class TurnRules:
    """Counts turns and decides; one per life, its counts survive preemption.

    Args:
        rules: the agent's.
        resumable: whether it can go on with its conversation.
        counts: an earlier life's.
    """

    def __init__(
        self, rules: Continuation, *, resumable: bool, counts: Counts | None = None
    ) -> None:
        """Begin where an earlier life ended."""
        self._rules, self._resumable = rules, resumable
        counts = counts or Counts()
        self._fresh_starts, self._idle = counts.fresh_starts, counts.idle
        self._refusals, self._failures = counts.refusals, counts.failures

    @property
    def counts(self) -> Counts:
        """What the next life must know."""
        return Counts(self._fresh_starts, self._idle, self._refusals, self._failures)

    def after(self, turn: Turn, left_s: float) -> Decision:
        """Decide what follows a turn, with ``left_s`` on the clock."""
        kind, rules = classify(turn), self._rules
        if kind in _TRANSIENT:
            self._refusals += 1
            pause = min(rules.backoff_s * 2 ** (self._refusals - 1), MAX_PAUSE_S)
            if self._refusals >= rules.provider_tries or pause >= left_s:
                return Decision("end", kind)
            return Decision(self._again(), pause_s=pause)
        if kind == "refused" or kind in INFRASTRUCTURE:
            return Decision("end", kind)
        self._refusals = 0
        if kind == "failed":
            return self._after_failure(left_s)
        self._failures = 0
        self._idle = self._idle + 1 if turn.took_s < rules.idle_turn_s else 0
        if self._idle >= rules.idle_turns or left_s < rules.min_left_s:
            return Decision("end", "finished")
        return Decision(self._again())

    def _again(self) -> Literal["resume", "fresh"]:
        return "resume" if self._resumable else "fresh"

    def _after_failure(self, left_s: float) -> Decision:
        rules = self._rules
        self._failures += 1
        if left_s < rules.min_left_s:
            return Decision("end", "crashed")
        if self._resumable and self._failures % 2:
            return Decision("resume", pause_s=rules.restart_pause_s)
        if self._fresh_starts >= rules.fresh_starts:
            return Decision("end", "crashed")
        self._fresh_starts += 1
        return Decision("fresh", pause_s=rules.restart_pause_s)
