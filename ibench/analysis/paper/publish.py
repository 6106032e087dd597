"""Every format of a table, byte for byte the same each time: CSV, Markdown, LaTeX."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd

__all__ = ["latex", "markdown", "present", "write_table"]

# Units and words that a column's name abbreviates.
WORDS = (
    (r"^([abcd])_speedup$", lambda m: m[1].upper()),
    (r"^aggregate_speedup$", lambda m: "aggregate"),
    (r"\busd\b", lambda m: "USD"),
    (r"\bsem\b", lambda m: "SEM"),
    (r"\bttft\b", lambda m: "TTFT"),
    (r"\btpot\b", lambda m: "TPOT"),
    (r"\breq per s\b", lambda m: "req/s"),
    (r"^([abcd])\b", lambda m: m[1].upper()),
)
# More columns do not fit a page at their natural width.
WIDE = 7
ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "†": r"$\dagger$",
    "·": r"$\cdot$",
}


def present(frame: pd.DataFrame) -> pd.DataFrame:
    """Texts for people: readable headings, two decimals, ``mean ± SEM`` in one cell."""
    columns = {}
    for name in frame:
        sem = str(name).removesuffix("_speedup") + "_sem"
        if str(name).endswith("_sem") and _mean_of(str(name)) in frame:
            continue
        cells = [_text(value, str(name)) for value in frame[name]]
        if str(name).endswith("_speedup") and sem in frame:
            cells = [
                cell if pd.isna(error) else f"{cell} ± {error:.2f}"
                for cell, error in zip(cells, frame[sem], strict=True)
            ]
        columns[_heading(str(name))] = cells
    return pd.DataFrame(columns)


def _mean_of(sem: str) -> str:
    return sem.removesuffix("_sem") + "_speedup"


def _heading(name: str) -> str:
    text = name
    for i, (pattern, word) in enumerate(WORDS):
        text = re.sub(pattern, word, text)
        if i == 1:
            text = text.replace("_", " ")
    return text


def _text(value: object, name: str) -> str:
    if value is None or value is pd.NA:
        return "-"
    if isinstance(value, float) and math.isnan(value):
        return "-"
    if isinstance(value, float):
        small = ("deviation", "share", "probability", "accuracy", "coverage", "p_value")
        return f"{value:.3f}" if any(s in name for s in small) else f"{value:.2f}"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return str(value).replace("_", " ") if isinstance(value, str) else str(value)


def markdown(frame: pd.DataFrame) -> str:
    """A pipe table; numbers right-aligned."""
    shown = present(frame)
    texts = [c for c in frame if frame[c].dtype == object or frame[c].dtype == "str"]
    left = {_heading(str(c)) for c in texts}
    lines = [
        "| " + " | ".join(shown.columns) + " |",
        "|" + "|".join(" --- " if c in left else " ---: " for c in shown) + "|",
    ]
    lines += [
        "| " + " | ".join(str(v).replace("|", "\\|") for v in row) + " |"
        for row in shown.itertuples(index=False)
    ]
    return "\n".join(lines) + "\n"


def latex(frame: pd.DataFrame, caption: str, label: str) -> str:
    """A table that needs the packages booktabs and, if it is wide, graphicx."""
    shown = present(frame)
    texts = {c for c in frame if frame[c].dtype == object or frame[c].dtype == "str"}
    left = {_heading(str(c)) for c in texts}
    align = "".join("l" if c in left else "r" for c in shown)
    rows = [" & ".join(map(_escape, row)) for row in shown.itertuples(index=False)]
    body = " \\\\\n".join([" & ".join(map(_escape, shown.columns)), *rows])
    head, *rest = body.split("\n")
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            r"\footnotesize",
            rf"\caption{{{_escape(caption)}}}",
            rf"\label{{tab:{label}}}",
            *([r"\resizebox{\textwidth}{!}{%"] if len(align) > WIDE else []),
            rf"\begin{{tabular}}{{{align}}}",
            r"\toprule",
            head,
            r"\midrule",
            *rest[:-1],
            f"{rest[-1]} \\\\" if rest else "",
            r"\bottomrule",
            r"\end{tabular}" + "}" * (len(align) > WIDE),
            r"\end{table}",
            "",
        ]
    )


def _escape(text: object) -> str:
    return "".join(ESCAPES.get(c, c) for c in str(text))


def write_table(
    frame: pd.DataFrame, folder: Path, name: str, title: str, note: str
) -> None:
    """Write ``<name>.csv``, ``.md`` and ``.tex``; the CSV has numbers, not texts."""
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")
    text = f"**{title}.** {note}".strip()
    (folder / f"{name}.md").write_text(f"{text}\n\n{markdown(frame)}", encoding="utf-8")
    body = latex(frame, f"{title}. {note}".strip(), name)
    (folder / f"{name}.tex").write_text(body, encoding="utf-8")
