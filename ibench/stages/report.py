"""One HTML file from the executed aggregation notebook: text, tables, figures."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbconvert import HTMLExporter

from ibench.errors import CorruptResultError
from ibench.files import write_atomic

__all__ = ["export_report"]

STYLE = f"<style>\n{Path(__file__).with_suffix('.css').read_text()}</style>"


def export_report(stage: Path, target: Path) -> Path:
    """Render ``executed.ipynb`` without its code.

    Raises:
        CorruptResultError: the executed notebook is gone.
    """
    source = stage / "executed.ipynb"
    if not source.exists():
        raise CorruptResultError(
            f"{source}: missing: remove {stage} and run `make reproduce`"
        )
    exporter = HTMLExporter(
        template_name="basic", exclude_input=True, exclude_input_prompt=True
    )
    exporter.exclude_output_prompt = True
    body, _ = exporter.from_notebook_node(nbformat.read(source, as_version=4))
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>InferenceBench study</title>{STYLE}</head><body>{body}</body></html>\n"
    )
    write_atomic(target, page.encode())
    return target
