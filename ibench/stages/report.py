"""One HTML file from the executed aggregation notebook: text, tables, figures."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbconvert import HTMLExporter

from ibench.errors import CorruptResultError
from ibench.files import write_atomic

__all__ = ["export_report"]

STYLE = """
<style>
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; line-height: 1.5;
       font-family: "Source Sans Pro", "Segoe UI", system-ui, sans-serif; color: #222; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.25rem; margin-top: 2.2rem; }
table { border-collapse: collapse; font-size: .85rem; margin: .8rem 0; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: right; }
td { white-space: nowrap; } td:last-child { white-space: normal; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid #888; }
img { max-width: 100%; height: auto; }
pre, code { font-size: .82rem; overflow-x: auto; }
.jp-OutputPrompt, .jp-InputPrompt, .anchor-link, .jp-OutputArea-prompt,
.jp-InputArea-prompt { display: none; }
.output_html, .output_area, .output_subarea { overflow-x: auto; max-width: 100%; }
</style>
"""


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
