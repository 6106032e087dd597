"""The command ``load``: its options are the fields of ``LoadSpec``."""

from __future__ import annotations

from pathlib import Path

from typer import Option

from ibench.load.spec import LoadSpec
from ibench.params.options import with_options
from ibench.terminal import say, show

__all__ = ["load"]

_COVERS = 1.0


@with_options(LoadSpec)
def load(
    spec: LoadSpec,
    out: Path = Option(help="Folder for the results."),
) -> int:
    """Drive any OpenAI-compatible server and show what came."""
    from ibench.load.lines import phase_table  # noqa: PLC0415 (its --help is fast)
    from ibench.load.run import run_load  # noqa: PLC0415

    report = run_load(spec, out, say)
    for phase in (*report.phases, *report.against):
        show(phase_table(phase))
    for name, (low, value, high) in report.speedup.items():
        covered = "covers" if low <= _COVERS <= high else "does not cover"
        show(f"speedup {name}: {value:.3f} [{low:.3f}, {high:.3f}], {covered} 1.00")
    show(f"{out}/summary.json")
    return 0
