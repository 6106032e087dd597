"""Agent sessions as they stand, one card each: views in, HTML out.

The colours are JupyterLab's own variables, so that both of its themes look right.
"""

from __future__ import annotations

import html
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ibench import REPOSITORY
from ibench.errors import IbenchError, UserError
from ibench.methods.agents.watch import View, sessions, stop_session
from ibench.study.definition import Study
from ibench.study.progress import minutes

__all__ = [
    "STYLE",
    "SecondClick",
    "cards_html",
    "end_session",
    "headline",
    "open_study",
    "session_views",
]

# Not the other half of a double click, and not one much later.
CONFIRM_FROM_S, CONFIRM_UNTIL_S = 0.6, 10.0
# More cards than these are a job for a table: `make sessions` lists all of them.
SHOWN = 24
UNKNOWN = "unknown"
STYLE = f"<style>\n{Path(__file__).with_suffix('.css').read_text()}</style>"


@dataclass
class SecondClick:
    """A first click asks, a second one in time confirms.

    Args:
        clock: monotonic seconds.
    """

    clock: Callable[[], float] = time.monotonic
    asked_s: float | None = None

    @property
    def is_asked(self) -> bool:
        """Whether a first click waits for its second."""
        return self.asked_s is not None and self._since_s() <= CONFIRM_UNTIL_S

    def click(self) -> bool:
        """Take a click; whether it confirms an earlier one."""
        if not self.is_asked:
            self.asked_s = self.clock()
            return False
        if self._since_s() < CONFIRM_FROM_S:
            return False
        self.asked_s = None
        return True

    def _since_s(self) -> float:
        return 0.0 if self.asked_s is None else self.clock() - self.asked_s


def open_study(profile: str, params: str, results: str) -> Study | str:
    """Load a profile, or say in a line why it cannot be.

    Args:
        profile: name of a profile.
        params: parameter folder; relative paths are the repository's.
        results: results root.
    """
    try:
        return Study(profile, REPOSITORY / params, REPOSITORY / results)
    except UserError as error:
        return str(error)


def session_views(study: Study | str) -> list[View] | str:
    """Every session, running ones first; a line where files cannot be read."""
    if isinstance(study, str):
        return study
    order = ("running", "waiting", "over")
    try:
        return sorted(sessions(study), key=lambda view: order.index(view.state))
    except (IbenchError, OSError) as error:
        return str(error)


def end_session(study: Study | str, cell: str) -> str:
    """Ask a session to end; say that it was, or why not."""
    if isinstance(study, str):
        return study
    try:
        stop_session(study, cell)
    except (IbenchError, OSError) as error:
        return str(error)
    return f"{cell} was asked to end."


def headline(study: Study, views: Sequence[View]) -> str:
    """How many sessions there are, or why there are none and how one begins."""
    name = html.escape(study.profile.name)
    if not any(m.kind == "agent" for m in study.profile.methods):
        return f"Profile <b>{name}</b> has no agent among its methods: choose another."
    if not views:
        return (
            f"No agent session of profile <b>{name}</b> has begun: "
            f"<code>make reproduce PROFILE={name}</code> starts them."
        )
    counts = Counter(v.state for v in views)
    parts = [f"{n} {state}" for state, n in sorted(counts.items(), reverse=True)]
    return f"Sessions of profile <b>{name}</b>: {', '.join(parts)}."


def cards_html(views: Sequence[View], budget_s: float) -> str:
    """One card a session.

    Args:
        views: in the order that they shall stand in.
        budget_s: of each session; what is left is drawn as a share of it.
    """
    cards = [_card(view, budget_s) for view in views[:SHOWN]]
    if len(views) > SHOWN:
        cards.append(
            f"<i>and {len(views) - SHOWN} more: <code>make sessions</code></i>"
        )
    return "\n".join(cards)


def _card(view: View, budget_s: float) -> str:
    left, bar = "", ""
    if view.left_s is not None:
        share = min(1.0, view.left_s / budget_s)
        left = f"{minutes(view.left_s)} left of {minutes(budget_s)}"
        bar = f'<div class="bar"><div style="width: {share:.1%}"></div></div>'
    tail = html.escape("\n".join(view.tail))
    facts = "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in _facts(view))
    return (
        f'<div class="ibench-session {view.state}"><div class="top">'
        f'<span class="cell">{html.escape(view.cell)}</span>'
        f'<span class="phase">{html.escape(view.phase)}</span>'
        f'<span class="left">{left}</span></div>{bar}<dl>{facts}</dl>'
        + (f"<pre>{tail}</pre>" if tail else "")
        + "</div>"
    )


def _facts(view: View) -> list[tuple[str, str]]:
    return [
        ("evaluations", str(view.evaluations)),
        ("best", "none" if view.best is None else f"{view.best:.4g}"),
        ("tokens", UNKNOWN if view.tokens is None else f"{view.tokens:,}"),
        ("dollars", UNKNOWN if view.usd is None else f"{view.usd:.2f}"),
    ]
