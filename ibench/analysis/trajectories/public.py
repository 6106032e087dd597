"""The public data set ``aisa-group/InferenceBench-Trajectories``: fetch it, read a run.

Layout: ``manifest.json`` and ``runs/run_NNNN/{run_meta.json, trace.jsonl, metrics.json,
logs/}``. There are no timestamps, no launcher file and no seeds in it; a run without
``metrics.json`` had no final evaluation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ibench.analysis.trajectories.events import AgentRun, Outcome
from ibench.analysis.trajectories.reading import (
    Item,
    as_dict,
    as_number,
    json_file,
    json_rows,
)
from ibench.analysis.trajectories.scaffolds import items_of
from ibench.errors import OfflineError, UserError

__all__ = [
    "BASELINES",
    "DATASET",
    "REVISION",
    "fetch",
    "objective_of",
    "public_items",
    "public_run",
]

DATASET = "aisa-group/InferenceBench-Trajectories"
# The commit to read by default. The reference copy this was written from names none, so
# a fetch has to name its own until one is entered here; a branch name is refused.
REVISION: str | None = None
# PyTorch baselines back-solved from the public runs by their readers (they are in
# results/published/pytorch_baselines.csv); the authors have not published theirs.
BASELINES: Mapping[str, float] = {"A": 1.236, "B": 28.64, "C": 0.132, "D": 1.679}
_COMMIT = re.compile("[0-9a-f]{40}")
_PATTERNS = ("manifest.json", "runs/*/*.json", "runs/*/trace.jsonl")
_MIN_TTFT_S, _MIN_TPOT_S, _MAX_RATE = 0.010, 1e-4, 20_000.0


def fetch(cache_dir: Path | None = None, revision: str | None = REVISION) -> Path:
    """Fetch the data set at one commit, or find it in the cache.

    Args:
        cache_dir: cache of ``huggingface_hub``; its own default if None.
        revision: commit, 40 hexadecimal digits.

    Raises:
        UserError: no commit is given.
        OfflineError: the hub is out of reach and nothing is cached.
    """
    if revision is None or not _COMMIT.fullmatch(revision):
        raise UserError(
            f"{DATASET}: revision {revision!r} is no commit; give the 40 digits that "
            "its page on the hub shows, so that the next reader gets the same files"
        )
    # The hub client takes most of a second to import; local folders never need it.
    from huggingface_hub import snapshot_download  # noqa: PLC0415

    try:
        folder = snapshot_download(
            DATASET,
            repo_type="dataset",
            revision=revision,
            cache_dir=cache_dir,
            allow_patterns=list(_PATTERNS),
        )
    except (OSError, ValueError) as error:
        raise OfflineError(
            f"{DATASET}@{revision[:12]}: not reachable and not cached "
            f"({type(error).__name__}); fetch it once with network access or name a "
            "local folder"
        ) from error
    except Exception as error:
        # The client's transport raises errors that share no base with OSError.
        if type(error).__module__.partition(".")[0] not in {"httpx", "httpx2"}:
            raise
        raise OfflineError(
            f"{DATASET}@{revision[:12]}: not reachable ({type(error).__name__})"
        ) from error
    return Path(folder)


def public_items(path: Path, problems: list[str], name: str) -> Iterator[Item]:
    """Read the events of ``trace.jsonl``, or of a scaffold's own transcript."""
    unknown = 0
    for row in json_rows(path, problems, name):
        items = items_of(row)
        if items is None:
            unknown += 1
        else:
            yield from items
    if unknown:
        problems.append(
            f"{name}: {unknown} rows of a form no scaffold writes, left out"
        )


def public_run(folder: Path, run_id: str, source: str) -> AgentRun:
    """Read what is known of a run beside its events."""
    meta = as_dict(json_file(folder / "run_meta.json"))
    metrics_file = folder / "metrics.json"
    metrics = as_dict(json_file(metrics_file)) if metrics_file.is_file() else None
    scenario = str(meta.get("scenario") or "unknown").upper()[-1:]
    hours = as_number(meta.get("budget_hours"))
    objective = None if metrics is None else objective_of(metrics, scenario)
    return AgentRun(
        run_id=run_id,
        layout="public",
        source=source,
        agent=str(meta.get("agent") or "unknown"),
        scaffold=str(meta["harness"]) if meta.get("harness") else None,
        scenario=scenario if scenario in BASELINES else "unknown",
        budget_s=None if hours is None else 3600 * hours,
        used_s=_time_taken(meta.get("time_taken")),
        outcome=_outcome(meta, metrics, objective),
        objective=objective,
        baseline=BASELINES.get(scenario),
    )


def _time_taken(value: object) -> float | None:
    if isinstance(value, str) and re.fullmatch(r"\d+:\d\d:\d\d", value.strip()):
        hours, minutes, rest = map(int, value.split(":"))
        return float(3600 * hours + 60 * minutes + rest)
    return as_number(value)


def _outcome(
    meta: Mapping[str, Any], metrics: Mapping[str, Any] | None, objective: float | None
) -> Outcome:
    """Table 3's label from what is published; the authors' final flag goes first."""
    if not meta and metrics is None:
        return "unknown"
    if meta.get("invalid_or_reward_hack") is True:
        return "integrity"
    if metrics is None or metrics.get("error") or not metrics.get("profiles"):
        return "unreachable"
    quality = as_dict(metrics.get("quality_check"))
    if quality.get("pass") is not True or metrics.get("score") == 0:
        return "quality"
    return "integrity" if objective is None else "ok"


def objective_of(metrics: Mapping[str, Any], scenario: str) -> float | None:
    """Objective of a ``metrics.json``, larger is better; None without one.

    A: 1 / TTFT p50. B: 1 / TPOT p50. C: geometric mean of req/s over the three
    profiles. D: cube root of (1 / TTFT p50)(1 / TPOT p50)(req/s). A profile below the
    physical floor has no objective.
    """
    profiles = {k: as_dict(v) for k, v in as_dict(metrics.get("profiles")).items()}
    if not all(_is_physical(p) for p in profiles.values()):
        return None
    burst = profiles.get("burst", {})
    ttft, tpot = _p50(burst, "ttft"), _p50(burst, "tpot")
    rate = as_number(burst.get("request_throughput_req_per_s"))
    parts: list[float | None]
    match scenario:
        case "A":
            parts = [ttft and 1 / ttft]
        case "B":
            parts = [tpot and 1 / tpot]
        case "C":
            names = ("burst", "poisson", "constant")
            key = "request_throughput_req_per_s"
            parts = [as_number(profiles.get(n, {}).get(key)) for n in names]
        case "D":
            parts = [ttft and 1 / ttft, tpot and 1 / tpot, rate]
        case _:
            return None
    known = [p for p in parts if p is not None and p > 0]
    if len(known) < len(parts):
        return None
    return math.prod(known) ** (1 / len(known))


def _p50(profile: Mapping[str, Any], group: str) -> float | None:
    return as_number(as_dict(profile.get(group)).get("p50"))


def _is_physical(profile: Mapping[str, Any]) -> bool:
    rate = as_number(profile.get("generation_throughput_tokens_per_s"))
    ttft, tpot = _p50(profile, "ttft"), _p50(profile, "tpot")
    return not (
        (rate is not None and rate > _MAX_RATE)
        or (ttft is not None and 0 < ttft < _MIN_TTFT_S)
        or (tpot is not None and 0 < tpot < _MIN_TPOT_S)
    )
