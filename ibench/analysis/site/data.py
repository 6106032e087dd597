"""What the pages get: closed models, and how they become script files.

A page opened from a file may not fetch another file, but may load a script. Each data
file is therefore a script that pushes one object onto a global list. Keys of these
objects are fields of the models below, never text from outside.
"""

from __future__ import annotations

import json
from typing import Literal, TypeAlias

from pydantic import Field

from ibench.records import Closed

__all__ = [
    "FOCI", "OUTCOMES", "Board", "BoardRow", "EpisodeView", "EvaluationView",
    "EventView", "Fact", "FamilyPlace", "FileLink", "Index", "OutcomeGroup",
    "OutcomeRow", "RunCard", "RunPage", "Value", "script",
]  # fmt: skip

Focus: TypeAlias = Literal["aggregate", "a", "b", "c", "d"]
FOCI: tuple[Focus, ...] = ("aggregate", "a", "b", "c", "d")
OUTCOMES = ("ok", "quality", "integrity", "unreachable", "incomplete", "unknown")
GLOBAL = "ibenchData"


class Value(Closed):
    """A speedup with its interval; unknown bounds stay None."""

    mean: float
    low: float | None = None
    high: float | None = None


class BoardRow(Closed):
    """One method of a leaderboard."""

    name: str
    kind: Literal["agent", "search", "default", "baseline"]
    note: str = ""
    aggregate: Value | None
    a: Value | None
    b: Value | None
    c: Value | None
    d: Value | None


class Board(Closed):
    """One leaderboard and where it comes from."""

    key: str
    label: str
    note: str = Field(description="source, and what the whiskers are")
    rows: tuple[BoardRow, ...]


class OutcomeRow(Closed):
    """Shares of one method's runs, in the order of ``OUTCOMES``."""

    name: str
    runs: int | None = Field(description="None where only shares are published")
    shares: tuple[float, ...]


class OutcomeGroup(Closed):
    """One picture of outcomes."""

    key: str
    label: str
    note: str
    rows: tuple[OutcomeRow, ...]


class FamilyPlace(Closed):
    """Where the behaviour map puts an episode family."""

    key: str
    label: str
    tier: Literal["operational", "optimization"]
    angle_deg: float
    radius: float = Field(ge=0, le=1)


class FileLink(Closed):
    """A file beside the site; ``href`` is relative to the site's folder."""

    label: str
    href: str


class RunCard(Closed):
    """One run in the lists and on the map."""

    id: str
    file: str | None = Field(description="script with its page, below data/runs")
    agent: str
    kind: str
    scenario: str
    seeds: str
    outcome: str
    speedup: float | None
    path: tuple[int, ...] = Field(description="family of each episode, by index")
    evaluations: int
    links: tuple[FileLink, ...] = ()


class Index(Closed):
    """Everything but the runs' own pages."""

    kind: Literal["index"] = "index"
    schema_version: Literal[1] = 1
    profile: str
    boards: tuple[Board, ...]
    outcomes: tuple[OutcomeGroup, ...]
    outcome_names: tuple[str, ...] = OUTCOMES
    families: tuple[FamilyPlace, ...]
    runs: tuple[RunCard, ...]
    sources: tuple[str, ...] = Field(description="one sentence a source")
    problems: tuple[str, ...] = Field(description="one line for each thing left out")


class EvaluationView(Closed):
    """One measurement made within the budget."""

    t_s: float | None
    objective: float | None
    accuracy: float | None = None
    note: str = ""


class EventView(Closed):
    """One event of a transcript; the text is shown, never interpreted."""

    index: int
    t_s: float | None
    kind: str
    tool: str | None
    text: str
    truncated: bool


class EpisodeView(Closed):
    """Consecutive events of one intent."""

    index: int
    family: int = Field(description="place in the index's families")
    tier: str
    t_start_s: float | None
    t_end_s: float | None
    confidence: float | None
    engine: str | None
    score: float | None
    summary: str
    evidence: tuple[str, ...]
    events: tuple[EventView, ...]
    n_events: int = Field(description="before some were left out")


class Fact(Closed):
    """A line of the run's record."""

    label: str
    text: str


class RunPage(Closed):
    """What the page of one run loads."""

    kind: Literal["run"] = "run"
    id: str
    budget_s: float | None
    objective: float | None
    baseline: float | None
    engine: str | None
    facts: tuple[Fact, ...]
    evaluations: tuple[EvaluationView, ...]
    episodes: tuple[EpisodeView, ...]


def script(model: Index | RunPage) -> bytes:
    """Write a model as a script file of ASCII.

    No ``<``, ``>`` or ``&`` stands in it, so that it stays data where it is pasted
    into a page; nor a line separator that ends a string in old engines.
    """
    body = model.model_dump(mode="json")
    text = json.dumps(body, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return f"(globalThis.{GLOBAL} ??= []).push({text});\n".encode("ascii")
