# ruff: noqa: T201 (a program for people)
"""Measure the static site: ``python -m perf.site`` (300 made runs by default)."""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ibench import REPOSITORY
from ibench.analysis.paper.data import Published
from ibench.analysis.site.build import build_site
from ibench.analysis.site.data import FamilyPlace
from ibench.analysis.site.families import family_places
from ibench.study.definition import Study
from perf.synthetic import make_study, publish_records
from perf.table import render

__all__ = ["main", "make_trajectories", "run_of"]

CHROMIUM = Path("/usr/bin/chromium")
PUBLISHED = Path("results", "published")
VIEWS = {"leaderboard": "#/", "outcomes": "#/outcomes", "map": "#/map"}
BUDGET_S = 7200.0
OUTCOMES = ("ok", "ok", "ok", "quality", "integrity", "unreachable")
WARM_UP, REPEATS = 1, 5


@cache
def _families() -> tuple[FamilyPlace, ...]:
    return family_places(Published(PUBLISHED))


def run_of(
    run_id: str, rng: random.Random, *, agent: str, scenario: str, seeds: str
) -> dict[str, Any]:
    """One made run in the exporter's form, with a path that an agent could take."""
    families = _families()
    n = rng.randint(8, 18)
    steps = sorted(rng.uniform(0, BUDGET_S) for _ in range(n + 1))
    episodes = []
    for i in range(n):
        family = families[min(i, 2) if i < 2 else rng.randrange(len(families) - 1)]
        episodes.append(
            {
                "index": i,
                "family": family.key,
                "tier": family.tier,
                "t_start_s": steps[i],
                "t_end_s": steps[i + 1],
                "confidence": rng.choice((0.6, 0.8, 0.95)),
                "engine": "vllm",
                "score": rng.uniform(1, 9),
                "summary": f"{family.label}: {rng.randint(2, 30)} calls",
                "evidence": ["pip install vllm", "--max-num-seqs 256"],
                "events": list(_events(rng, 12 * i, steps[i])),
            }
        )
    evaluations = [
        {"t_s": e["t_end_s"], "objective": e["score"], "accuracy": 0.41}
        for e in episodes[2::2]
    ]
    return {
        "id": run_id,
        "agent": agent,
        "scenario": scenario,
        "seeds": seeds,
        "outcome": rng.choice(OUTCOMES),
        "speedup": rng.uniform(1, 9),
        "objective": rng.uniform(1, 9),
        "budget_s": BUDGET_S,
        "engine": "vllm",
        "evaluations": evaluations,
        "episodes": episodes,
    }


def _events(rng: random.Random, first: int, t_s: float) -> Iterator[dict[str, Any]]:
    for i in range(rng.randint(4, 12)):
        call = i % 2 == 0
        yield {
            "index": first + i,
            "t_s": t_s + i,
            "kind": "tool_call" if call else "tool_result",
            "tool": "shell" if call else None,
            "text": "python -m vllm.entrypoints.openai.api_server --port 8000\n" * 4,
            "truncated": not call,
        }


def make_trajectories(folder: Path, runs: list[dict[str, Any]]) -> Path:
    """Write runs as the exporter does."""
    (folder / "runs").mkdir(parents=True)
    listed = []
    for run in runs:
        name = f"runs/{run['id']}.json"
        (folder / name).write_text(json.dumps(run))
        left = {k: v for k, v in run.items() if k not in ("evaluations", "episodes")}
        events = sum(len(e["events"]) for e in run["episodes"])
        listed.append(left | {"n_events": events, "episodes_file": name})
    (folder / "runs.json").write_text(json.dumps(listed))
    return folder


def _made(folder: Path, methods: int, seed_pairs: int) -> tuple[Study, Path]:
    study = make_study(
        REPOSITORY / "params", folder, methods=methods, seed_pairs=seed_pairs
    )
    publish_records(study)
    rng = random.Random(7)  # noqa: S311
    runs = [
        run_of(
            f"{c.scenario}-{c.method}-{c.seeds.label}", rng,
            agent=c.method, scenario=c.scenario, seeds=c.seeds.label,
        )
        for c in study.cells()
        if c.method != "baseline"
    ]  # fmt: skip
    return study, make_trajectories(folder / "trajectories", runs)


def load_rows(site: Path) -> list[dict[str, Any]]:
    """Time from opening a view to its second frame after everything is drawn."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 (optional)

    rows = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox"]
        )
        for name, route in VIEWS.items():
            samples = []
            for _ in range(WARM_UP + REPEATS):
                page = browser.new_page()
                begin = time.perf_counter()
                page.goto(f"{site.as_uri()}/index.html{route}")
                page.wait_for_selector(f"main[data-ready] [data-chart={name}] canvas")
                page.evaluate(
                    "new Promise(f => requestAnimationFrame("
                    "() => requestAnimationFrame(f)))"
                )
                samples.append(time.perf_counter() - begin)
                page.close()
            kept = samples[WARM_UP:]
            rows.append(
                {"view": name, "median_s": statistics.median(kept), "max_s": max(kept)}
            )
        browser.close()
    return rows


def main(argv: list[str] | None = None) -> int:
    """Build a site of made runs, load it, print both times."""
    parser = argparse.ArgumentParser(prog="python -m perf.site", description=__doc__)
    parser.add_argument("--methods", default=25, type=int, help="times four scenarios")
    parser.add_argument("--seed-pairs", default=3, type=int)
    parser.add_argument("--keep", type=Path, help="write the site here and keep it")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        study, trajectories = _made(Path(name), args.methods, args.seed_pairs)
        begin = time.perf_counter()
        site = args.keep or Path(name) / "site"
        built = build_site(study, site, published=PUBLISHED, trajectories=trajectories)
        took = time.perf_counter() - begin
        print(f"build: {built.runs} runs, {built.bytes / 1e6:.1f} MB, {took:.1f} s")
        rows = load_rows(site.resolve())
    notes = [f"A new page each time, {REPEATS} times after {WARM_UP} to warm up."]
    print(render(f"Loading {built.runs} runs from files", rows, notes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
