"""Scripted agent ``careful``: measure, change one thing, keep what is better.

It starts from the reference, spends its budget on full development evaluations, keeps
a change only above its noise margin and leaves the best launcher in place.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

from ibench.methods.agents.launchers import (
    Setup,
    run_test,
    seconds_left,
    write_launcher,
)

__all__ = ["main"]

MARGIN = 1.02
ACCURACY_KEPT = 0.95
SAFETY = 1.3


CHANGES: dict[str, dict[str, Any]] = {
    "precision": {"dtype": "float32"},
    "threads": {"threads": 2},
    "serve": {"engine": "serve"},
    "batching": {"engine": "continuous-batching"},
}
ORDER = {
    "ttft": ("threads", "precision", "serve", "batching"),
    "tpot": ("precision", "serve", "threads", "batching"),
    "request_rate": ("batching", "precision", "threads", "serve"),
    "balanced": ("precision", "batching", "threads", "serve"),
}


def main() -> int:
    """Work until the next trial would not fit any more."""
    folder = Path.cwd()
    scenario = json.loads((folder / "scenario.json").read_text())["scenario"]
    best = Setup()
    log = Log(folder / "iteration_log.md")
    base, longest_s = measure(best, folder)
    if base is None:
        log.write(best, None, "baseline does not answer")
        return 1
    best_value, floor = base["objective"], ACCURACY_KEPT * base["accuracy"]
    log.write(best, base, "baseline")
    for name in ORDER.get(scenario["objective"], tuple(CHANGES)):
        if seconds_left(folder) < SAFETY * longest_s:
            log.note(f"stopped: {seconds_left(folder):.0f} s left, a trial needs more")
            break
        setup = dataclasses.replace(best, **CHANGES[name])
        result, took_s = measure(setup, folder)
        longest_s = max(longest_s, took_s)
        verdict = judge(result, best_value, floor)
        log.write(setup, result, verdict)
        if result and verdict == "kept":
            best, best_value = setup, result["objective"]
    write_launcher(best, folder)
    log.note(f"shipped: {best.describe()}")
    return 0


def measure(setup: Setup, folder: Path) -> tuple[dict[str, Any] | None, float]:
    """One full development evaluation of a setup, and the seconds it took."""
    started = time.monotonic()
    write_launcher(setup, folder)
    result = run_test(folder)
    return result, time.monotonic() - started


def judge(result: dict[str, Any] | None, best: float, floor: float) -> str:
    """Say whether a change is kept, and why not."""
    if result is None:
        return "dropped: no measurement"
    if result["accuracy"] < floor:
        return f"dropped: accuracy {result['accuracy']:.2f} below {floor:.2f}"
    if result["objective"] < MARGIN * best:
        return "dropped: not better than the noise margin"
    return "kept"


class Log:
    """``iteration_log.md``: what was tried, kept and dropped."""

    def __init__(self, path: Path) -> None:
        """Start the table."""
        self._path = path
        path.write_text(
            "| setup | objective | accuracy | verdict |\n|---|---|---|---|\n"
        )

    def write(self, setup: Setup, result: dict[str, Any] | None, verdict: str) -> None:
        """Add one trial."""
        numbers = (
            f"{result['objective']:.5g} | {result['accuracy']:.3f}"
            if result
            else "- | -"
        )
        self.note(f"| {setup.describe()} | {numbers} | {verdict} |")

    def note(self, text: str) -> None:
        """Add one line, to the file and to the transcript."""
        # A blank line ends the table, so that the log renders as Markdown.
        gap = "" if text.startswith("|") else "\n"
        with self._path.open("a") as stream:
            stream.write(f"{gap}{text}\n")
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
