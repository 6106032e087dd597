"""A run against its baseline: the speedup, and whether the machine held still."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import geometric_mean

from ibench.errors import MetricUndefinedError
from ibench.metrics.speedup import paired_speedup, unpaired_speedup
from ibench.params import Gates
from ibench.records import Evidence, LifeSpread, Speedup

__all__ = ["host_faults", "scaled", "speedup_of"]


def speedup_of(
    evidence: Evidence,
    baseline_lives: Sequence[float],
    host: LifeSpread | None = None,
    confidence: float = 0.95,
) -> Speedup | None:
    """Compare a run as its profile pairs it; None where a side has no number.

    Args:
        evidence: of the run.
        baseline_lives: objectives of the baseline's lives of stage 1.
        host: spread between lives on a quiet host of this kind.
        confidence: of the interval.
    """
    paired = evidence.paired
    ours = [evidence.objective] if evidence.objective else []
    try:
        if paired is not None and paired.kind == "alternate":
            found = paired_speedup(paired.lives, confidence, host)
            if ours and baseline_lives:
                alone = ours[0] / geometric_mean(baseline_lives)
                found = found.model_copy(update={"unpaired": alone})
            return found
        if paired is not None:
            ours = [life.objective for life in paired.lives if life.objective]
            baseline_lives = [*baseline_lives, *paired.baseline_after]
        return unpaired_speedup(ours, baseline_lives, confidence)
    except MetricUndefinedError:
        return None


def scaled(speedup: Speedup, share: float) -> Speedup:
    """The speedup of which only a share counts (``gates.counted``), limits and all."""
    names = ("value", "low", "high", "unpaired")
    numbers = {name: getattr(speedup, name) for name in names}
    return speedup.model_copy(
        update={n: None if v is None else share * v for n, v in numbers.items()}
    )


def host_faults(evidence: Evidence, gates: Gates) -> Iterator[str]:
    """Why the machine makes a measurement unfit, one line each."""
    for number, host in enumerate(evidence.host, start=1):
        where = f"life {number}: " if len(evidence.host) > 1 else ""
        seen = (
            ("steal", host.steal_share, gates.max_steal_share, " of the cores' time"),
            ("other programs", host.others_cores, gates.max_others_cores, " cores"),
            ("probe drift", host.drift, gates.max_probe_drift, ""),
        )
        for what, value, most, unit in seen:
            if value > most:
                yield f"{where}{what} {value:.3g}{unit}, the limit {most:.3g}"
        brakes = {*host.before.gpu_throttle, *host.after.gpu_throttle}
        if brakes:
            yield f"{where}GPU clock held down: {', '.join(sorted(brakes))}"
