"""The same server against itself: what the paired and the unpaired speedup say.

``make bench-aa``: pairs of relaunches in which the submission is the baseline's own
launcher, as a profile measures them, half of them beside a process that takes a core
in bursts. A speedup interval must cover 1.00; the unpaired ratio stands beside it. The
last line of a scenario is what ``params/hosts`` may state as ``life_spread``.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ibench import REPOSITORY
from ibench.gates.compare import host_faults, speedup_of
from ibench.metrics.speedup import unpaired_speedup
from ibench.records import Evidence, Speedup
from ibench.stages.baseline import baseline_folder
from ibench.stages.relaunch import collect_evidence
from ibench.study.definition import Cell, Study
from ibench.study.job import OpenJob
from ibench.terminal import Table, show

__all__ = ["Pair", "main", "neighbour", "summary"]

# A tenant that takes a core for a while and leaves it for a while, at random.
_BURSTS = """
import random, time
draw = random.Random({seed})
while True:
    end = time.monotonic() + draw.expovariate(1 / 0.5)
    while time.monotonic() < end:
        pass
    time.sleep(draw.expovariate(1 / 0.5))
"""


class Pair(NamedTuple):
    """One A/A relaunch.

    Attributes:
        is_quiet: nothing ran beside it.
        paired: speedup from its lives, blocks in turns.
        unpaired: speedup from the same lives, each side taken alone.
        faults: why the gates would not use it.
    """

    is_quiet: bool
    paired: Speedup
    unpaired: Speedup
    faults: tuple[str, ...]


@contextmanager
def neighbour(seed: int, *, is_quiet: bool) -> Iterator[None]:
    """A process that takes a core in bursts of half a second on average, or none."""
    if is_quiet:
        yield
        return
    code = _BURSTS.format(seed=seed)
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        try:
            yield
        finally:
            process.kill()


def measure(study: Study, scenario: str, number: int, *, is_quiet: bool) -> Pair:
    """Relaunch the baseline beside itself once."""
    seeds = study.scenarios[scenario].seed_pairs[number % study.profile.seed_pairs]
    method = study.profile.methods[0].name
    planned = study.job(f"{Cell(scenario, method, seeds).path}/relaunch")
    with tempfile.TemporaryDirectory(prefix="ibench-aa-") as place:
        folder = Path(place)
        job = OpenJob(study, dataclasses.replace(planned, folder=folder / "relaunch"))
        source = baseline_folder(job, folder)
        with neighbour(number, is_quiet=is_quiet):
            evidence = collect_evidence(job, source, baseline=source)
    return _pair(study, scenario, evidence, is_quiet=is_quiet)


def _pair(study: Study, scenario: str, evidence: Evidence, *, is_quiet: bool) -> Pair:
    spread = study.host.life_spread.get(scenario)
    paired = speedup_of(evidence, (), spread)
    lives = evidence.paired.lives if evidence.paired else ()
    ours = [x.objective for x in lives if x.objective]
    base = [x.baseline_objective for x in lives if x.baseline_objective]
    if paired is None or len(ours) < len(lives):
        raise SystemExit(
            f"{scenario}: a life gave no number: {evidence.objective_detail}"
        )
    faults = tuple(host_faults(evidence, study.gates))
    faults += tuple(why for phase in evidence.phases for why in phase.invalid)
    return Pair(is_quiet, paired, unpaired_speedup(ours, base), faults)


def summary(scenario: str, pairs: Sequence[Pair]) -> list[tuple[str, ...]]:
    """Rows of the table: quiet and busy half, paired and unpaired."""
    rows: list[tuple[str, ...]] = []
    for is_quiet in (True, False):
        half = [p for p in pairs if p.is_quiet is is_quiet]
        if not half:
            continue
        for name in ("paired", "unpaired"):
            found: list[Speedup] = [getattr(p, name) for p in half]
            bounds = [(f.low, f.value, f.high) for f in found if f.low and f.high]
            covered = sum(low <= 1 <= high for low, _, high in bounds)
            widths = [math.log(high / low) / 2 for low, _, high in bounds]
            off = [abs(math.log(f.value)) for f in found]
            rows.append(
                (
                    scenario,
                    "quiet" if is_quiet else "busy",
                    name,
                    f"{covered}/{len(bounds)}",
                    f"{statistics.median(widths):.1%}" if widths else "-",
                    f"{statistics.median(off):.1%}",
                    f"{max(off):.1%}",
                    str(sum(bool(p.faults) for p in half)),
                )
            )
    return rows


def life_spread(pairs: Sequence[Pair]) -> tuple[float, int]:
    """Spread of a life's log ratio over the quiet pairs, and its degrees of freedom."""
    own = [p.paired for p in pairs if p.is_quiet and p.paired.life_sd is not None]
    df = sum(f.lives - 1 for f in own)
    squares = sum((f.lives - 1) * (f.life_sd or 0.0) ** 2 for f in own)
    return math.sqrt(squares / df) if df else math.nan, df


HEADINGS = (
    "scenario",
    "machine",
    "ratio",
    "covers 1.00",
    "half-width p50",
    "off p50",
    "off max",
    "flagged",
)


def main() -> None:
    """Measure and print; a line a pair while it goes on."""
    parser = argparse.ArgumentParser(prog="python -m perf.aa", description=__doc__)
    parser.add_argument("--profile", default="cpu")
    parser.add_argument("--pairs", type=int, default=20, help="a scenario, half busy")
    parser.add_argument("--scenarios", nargs="*", help="of the profile; all by default")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ibench-aa-results-") as results:
        study = Study(args.profile, REPOSITORY / "params", Path(results))
        bench(study, args.scenarios or tuple(study.scenarios), args.pairs)


def bench(study: Study, scenarios: Sequence[str], count: int) -> None:
    """Measure so many pairs a scenario, every second one beside a busy process."""
    rows, spreads = [], []
    for scenario in scenarios:
        pairs = []
        for number in range(count):
            begun = time.monotonic()
            is_quiet = number % 2 == 0
            pairs.append(measure(study, scenario, number, is_quiet=is_quiet))
            _say(scenario, number, pairs[-1], time.monotonic() - begun)
        rows += summary(scenario, pairs)
        sd, df = life_spread(pairs)
        spreads.append(f"  {scenario}: {{sd: {sd:.4f}, df: {df}}}")
    show(Table(HEADINGS, rows))
    sys.stdout.write("life_spread:\n" + "\n".join(spreads) + "\n")


def _say(scenario: str, number: int, pair: Pair, seconds: float) -> None:
    p, u = pair.paired, pair.unpaired
    low, high = p.low or math.nan, p.high or math.nan
    sys.stdout.write(
        f"{scenario} {number}{'' if pair.is_quiet else ' busy'}: paired {p.value:.3f} "
        f"[{low:.3f}, {high:.3f}], unpaired {u.value:.3f}, life sd "
        f"{p.life_sd or math.nan:.3f}, block sd {p.block_sd or math.nan:.3f}, "
        f"{seconds:.0f} s{'; ' if pair.faults else ''}{'; '.join(pair.faults)}\n"
    )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
