"""Numbers in what tools print: latencies, rates, accuracies, objectives.

Times come out in seconds, rates per second. A number without a unit counts where its
key says what it is (``"ttft_p50": 0.012``), as the evaluator writes it, in seconds.
Lines of a serving engine's own log are no measurement: they describe whatever traffic
there is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from ibench.analysis.trajectories.public import objective_of

__all__ = ["accuracy_in", "numbers_in", "objective_in"]

_NUMBER = r"(\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"
_LATENCY = re.compile(
    r"\b(ttft|tpot)((?:[\s_\"':{(=.-]*(?:p50|median|mean|avg|ms|s)(?![a-z0-9]))*)"
    r"([\s_\"':})=|-]*)" + _NUMBER + r"\s*(ms|s)?(?![a-z0-9.])",
    re.IGNORECASE,
)
_RATES: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "rate_per_s",
        re.compile(
            rf"{_NUMBER}\s*(?:req(?:uest)?s?\s?/\s?s(?:ec)?\b|requests per second)"
            r"|(?:request_throughput_req_per_s|request_rate_per_s)\"?\s*[:=]\s*"
            rf"{_NUMBER}|request throughput \(req/s\):\s*{_NUMBER}",
            re.IGNORECASE,
        ),
    ),
    (
        "token_rate_per_s",
        re.compile(
            rf"{_NUMBER}\s*(?:tok(?:en)?s?\s?/\s?s(?:ec)?\b|tokens per second)"
            r"|generation_throughput_tokens_per_s\"?\s*[:=]\s*"
            rf"{_NUMBER}|token throughput \(tok/s\):\s*{_NUMBER}",
            re.IGNORECASE,
        ),
    ),
    ("objective", re.compile(rf"\"objective\":\s*{_NUMBER}")),
    ("accuracy", re.compile(rf"\"(?:observed_)?accuracy\":\s*{_NUMBER}")),
)
_HINTS = ("ttft", "tpot", "/s", "per_s", "per second", "objective", "accuracy")
_ENGINE_LOG = (
    "Avg prompt throughput",
    "Avg generation throughput",
    "gen throughput (token/s)",
    "Decode batch",
    "Prefill batch",
    "loggers.py",
    "SpecDecoding metrics",
)
_PROFILE = re.compile(r"\b(burst|poisson|constant)\b\"?\s*[:=]")
_RATE_KEY = "request_throughput_req_per_s"


def numbers_in(text: str) -> list[tuple[str, float]]:
    """Give metrics and values in a tool's output.

    >>> numbers_in("burst: 24/24 completed, TTFT p50 31.25 ms, 18.766 req/s")
    [('ttft_s', 0.03125), ('rate_per_s', 18.766)]
    >>> numbers_in("INFO loggers.py: Avg generation throughput: 111.0 tokens/s")
    []
    >>> numbers_in("TTFT p99 80 ms; the TTFT of 3 requests; 840 ms")
    []
    """
    return list(_numbers(text))


# One output is asked for its numbers, its objective and its accuracy in a row.
@lru_cache(maxsize=4)
def _numbers(text: str) -> tuple[tuple[str, float], ...]:
    text = _without_log(text)
    low = text.lower()
    if not any(hint in low for hint in _HINTS):
        return ()
    found = list(_latencies(text)) if "ttft" in low or "tpot" in low else []
    for name, pattern in _RATES:
        for match in pattern.finditer(text):
            value = next(g for g in match.groups() if g is not None)
            found.append((name, float(value)))
    return tuple(found)


def _without_log(text: str) -> str:
    marks = [mark for mark in _ENGINE_LOG if mark in text]
    if not marks:
        return text
    lines = text.split("\n")
    for mark in marks:
        lines = [line for line in lines if mark not in line]
    return "\n".join(lines)


def _latencies(text: str) -> Iterator[tuple[str, float]]:
    for match in _LATENCY.finditer(text):
        name, words, gap, number, unit = match.groups()
        value = float(number)
        key_says = ("ms" if re.search(r"ms\b|_ms", words.lower()) else "") or unit
        is_key = any(c in (words + gap) for c in '":=_{')
        if key_says == "ms" or (unit or "").lower() == "ms":
            value /= 1e3
        elif unit is None and not is_key:
            continue
        yield f"{name.lower()}_s", value


def objective_in(text: str, scenario: str) -> float | None:
    """Give the objective that an evaluation printed, larger is better.

    Our evaluator prints it; from the original's output it is computed by scenario.
    """
    numbers = numbers_in(text)
    own = [value for name, value in numbers if name == "objective"]
    if own:
        return own[-1]
    if '"objective"' in text or scenario not in {"A", "B", "C", "D"}:
        return None
    return objective_of({"profiles": _profiles(text)}, scenario)


def accuracy_in(text: str) -> float | None:
    """Give the last accuracy that a text prints."""
    found = [value for name, value in numbers_in(text) if name == "accuracy"]
    return found[-1] if found else None


def _profiles(text: str) -> dict[str, dict[str, object]]:
    marks = list(_PROFILE.finditer(text))
    ends = [m.start() for m in marks[1:]] + [len(text)]
    # One set of numbers without a name is the only profile that A, B and D have.
    parts = [("burst", text)]
    if marks:
        pairs = zip(marks, ends, strict=True)
        parts = [(mark[1], text[mark.start() : end]) for mark, end in pairs]
    profiles: dict[str, dict[str, object]] = {}
    for called, part in parts:
        profile: dict[str, object] = {}
        for name, value in reversed(numbers_in(part)):
            if name in {"ttft_s", "tpot_s"}:
                profile[name.removesuffix("_s")] = {"p50": value}
            elif name == "rate_per_s":
                profile[_RATE_KEY] = value
        if profile:
            profiles[called] = profile
    return profiles
