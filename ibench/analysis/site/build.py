"""Write the site: one folder, complete or not there at all."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ibench import REPOSITORY
from ibench.analysis.paper.data import Published
from ibench.analysis.site.boards import (
    outcome_group,
    profile_board,
    published_boards,
    published_outcomes,
)
from ibench.analysis.site.bundle import bundle, page_files
from ibench.analysis.site.data import Index, OutcomeGroup, RunPage, script
from ibench.analysis.site.families import family_places
from ibench.analysis.site.profile import StudyView, load_profile
from ibench.analysis.site.runs import Entry, entries
from ibench.analysis.site.trajectories import Replays, read_replays
from ibench.errors import UserError
from ibench.study.definition import Study

__all__ = ["BuiltSite", "build_site"]

PAGES = REPOSITORY / "site"
CACHE = REPOSITORY / ".cache" / "site"
INDEX = Path("data") / "index.js"
# A page that loads slowly is no use: transcripts give way until it fits.
LARGEST_PAGE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class BuiltSite:
    """What was written; ``problems`` are the lines about what was left out."""

    index: Path
    runs: int
    replays: int
    bytes: int
    problems: tuple[str, ...]


def build_site(
    study: Study,
    out: Path,
    *,
    published: Path,
    trajectories: Path | None = None,
    pages: Path | None = None,
) -> BuiltSite:
    """Build the site of a profile.

    Args:
        study: the profile and its results.
        out: folder to write; an older site there is replaced.
        published: folder of the published numbers.
        trajectories: exported trajectories; the site says so where there are none.
        pages: a finished bundle; made or taken from the cache if None.

    Raises:
        UserError: the target is something else, an input is missing or wrong, or the
            pages cannot be bundled.
    """
    out = out.resolve()
    _check_target(out)
    numbers = Published(published)
    profile = load_profile(study)
    found = read_replays(trajectories) if trajectories else None
    families = family_places(numbers)
    rows = list(entries(profile, found, families, out))
    index = Index(
        profile=profile.name,
        boards=(
            *((profile_board(profile),) if profile.runs else ()),
            *published_boards(numbers),
        ),
        outcomes=(
            *((_own_outcomes(rows, profile, found),) if rows else ()),
            published_outcomes(numbers),
        ),
        families=families,
        runs=tuple(row.card for row in rows),
        sources=_sources(profile, found),
        problems=(
            *profile.problems,
            *(found.problems if found else ()),
            *(line for row in rows for line in row.problems),
        ),
    )
    folder = bundle(PAGES, CACHE) if pages is None else pages
    size = _write(out, folder, index, rows)
    return BuiltSite(
        index=out / "index.html",
        runs=len(rows),
        replays=sum(bool(row.card.path) for row in rows),
        bytes=size,
        problems=index.problems,
    )


def _own_outcomes(
    rows: list[Entry], profile: StudyView, found: Replays | None
) -> OutcomeGroup:
    cards = [row.card for row in rows]
    own, more = len(profile.runs), len(rows) - len(profile.runs)
    parts = [f"{own} runs of profile {profile.name}"] if own else []
    if found and more:
        parts.append(f"{more} runs known from their trajectories only")
    return outcome_group(
        "own",
        "These runs",
        f"{' and '.join(parts)}.",
        sorted((card.agent, card.outcome) for card in cards),
    )


def _sources(profile: StudyView, found: Replays | None) -> tuple[str, ...]:
    """One sentence for each thing the site shows, or why it does not."""
    done = f"{len(profile.runs)} of {profile.planned} runs finished"
    lines = [
        f"Profile {profile.name}: {done}, model {profile.model}."
        if profile.runs
        else f"Profile {profile.name} has no finished run that can be read; "
        f"make reproduce PROFILE={profile.name} makes them."
    ]
    if found is None:
        lines.append(
            "No trajectories were given to this build: no run can be replayed and the "
            "behaviour map is empty. docs/site.md says how to add them."
        )
    else:
        shown = sum(replay is not None for _, replay in found.runs)
        lines.append(f"Trajectories: {shown} of {len(found.runs)} runs with episodes.")
    lines.append(
        "Published numbers are copied from the paper (arXiv 2607.20468) and from the "
        "original site; results/published/README.md lists where they contradict each "
        "other."
    )
    return tuple(lines)


def _check_target(out: Path) -> None:
    """Replacing a folder deletes it; it has to be ours or empty."""
    if out.is_dir() and any(out.iterdir()) and not (out / INDEX).is_file():
        raise UserError(f"{out}: holds something else than a site; name another folder")
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file; name a folder")


def _write(out: Path, bundled: Path, index: Index, rows: list[Entry]) -> int:
    """Write beside the target and rename: a reader never sees half a site."""
    side = out.with_name(f".{out.name}.partial-{os.getpid()}")
    old = out.with_name(f".{out.name}.old-{os.getpid()}")
    try:
        (side / "data" / "runs").mkdir(parents=True)
        for path in page_files(bundled):
            shutil.copyfile(path, side / path.name)
        (side / INDEX).write_bytes(script(index))
        for row in rows:
            if row.card.file:
                path = side / "data" / "runs" / row.card.file
                path.write_bytes(_fitting(row.page))
        size = sum(p.stat().st_size for p in side.rglob("*") if p.is_file())
        if out.exists():
            out.rename(old)
        side.rename(out)
    finally:
        shutil.rmtree(side, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return size


def _fitting(page: RunPage) -> bytes:
    """Shorten a page's texts by halves, then drop them, until it is small enough."""
    data, longest = script(page), 1000
    while len(data) > LARGEST_PAGE_BYTES and longest:
        data = script(_shortened(page, longest))
        longest //= 2
    return data if len(data) <= LARGEST_PAGE_BYTES else script(_shortened(page, 0))


def _shortened(page: RunPage, longest: int) -> RunPage:
    """Events of at most so many characters; none, and no evidence, at zero."""
    episodes = []
    for episode in page.episodes:
        events = tuple(
            event
            if len(event.text) <= longest
            else event.model_copy(
                update={"text": event.text[:longest], "truncated": True}
            )
            for event in episode.events
        )
        update = {"events": events} if longest else {"events": (), "evidence": ()}
        episodes.append(episode.model_copy(update=update))
    return page.model_copy(update={"episodes": tuple(episodes)})
