"""``make data``: fetch what a profile names, verify it, make its request sets once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ibench.errors import (
    DataError,
    IbenchError,
    OfflineError,
    UserError,
    WorkloadError,
)
from ibench.files import locked
from ibench.params import SeedUse
from ibench.records import Closed, Sha256
from ibench.study.assets import Assets
from ibench.study.definition import Study
from ibench.workloads import set_hash, write_upstream_requests
from ibench.workloads.hub.fetch import fetch
from ibench.workloads.hub.sources import sources_of
from ibench.workloads.sampling import Split

__all__ = ["SetFile", "fetch_all", "make_data", "materialise"]

USES: tuple[SeedUse, ...] = ("dev", "eval")


class SetFile(Closed):
    """One request or question set of a profile, and where it lies."""

    name: str
    items: int
    sha256: Sha256
    file: str


class _Wanted(NamedTuple):
    scenario: str
    seed: int
    split: Split
    n: int | None

    @property
    def name(self) -> str:
        return f"{self.scenario}/{self.split}-{self.seed}"


def make_data(
    study: Study,
    cache: Path,
    *,
    export: Path | None = None,
    endpoint: str | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Fetch, verify and materialise everything of a profile; safe to repeat.

    Args:
        study: the profile.
        cache: the cache folder.
        export: also write evaluation and development sets there, in the published
            record format: ``<scenario>/<seed>/requests.jsonl``.
        endpoint: address of the hub; by default the public one, or ``HF_ENDPOINT``.
        say: takes one line of progress.

    Raises:
        UserError: a source or a set could not be had; every other one was.
    """
    (cache / "workloads").mkdir(parents=True, exist_ok=True)
    # One process at a time fills the cache; others wait, then find it filled.
    with locked(cache / ".data.lock"):
        failed = fetch_all(study, cache, endpoint=endpoint, say=say)
        if failed:
            raise _joined(study, failed, say)
        assets = Assets(study, cache)
        say(f"model: {assets.model_dir.name}")
        made, failed = materialise(assets, say)
        if export is not None:
            _export(assets, export, say)
        index = cache / "workloads" / f"{study.profile.name}.json"
        text = json.dumps([m.model_dump(mode="json") for m in made], indent=1)
        index.write_text(text + "\n", encoding="utf-8")
        say(f"{len(made)} sets, {sum(m.items for m in made)} items: {index}")
    if failed:
        raise _joined(study, failed, say)


def fetch_all(
    study: Study,
    cache: Path,
    *,
    endpoint: str | None = None,
    say: Callable[[str], None] = print,
) -> list[IbenchError]:
    """Fetch every source of a profile; one that is refused does not stop the others.

    A hub that is out of reach is so for all of them, and it takes the library half a
    minute to say so: it is asked once.
    """
    failed: list[IbenchError] = []
    for source in sources_of(study.profile, study.model):
        try:
            fetch(source, cache, study.params, endpoint=endpoint, say=say)
        except IbenchError as error:
            failed.append(error)
            if isinstance(error, OfflineError):
                break
    return failed


def materialise(
    assets: Assets, say: Callable[[str], None] = print
) -> tuple[list[SetFile], list[IbenchError]]:
    """Make every set of a profile that is not there yet.

    Returns:
        The sets, and why others could not be made: with ``compat: upstream`` some
        cannot, as in the original.
    """
    made: list[SetFile] = []
    failed: list[IbenchError] = []
    for wanted in _wanted(assets.study):
        scenario = assets.study.scenarios[wanted.scenario].workload
        try:
            path = assets.request_file(scenario, wanted.seed, wanted.split, wanted.n)
        except WorkloadError as error:
            failed.append(WorkloadError(f"{wanted.name}: {error}"))
            continue
        data = path.read_bytes()
        entry = SetFile(
            name=wanted.name,
            items=data.count(b"\n"),
            sha256=hashlib.sha256(data).hexdigest(),
            file=path.name,
        )
        made.append(entry)
        say(f"{entry.name}: {entry.items} requests, {entry.sha256[:12]}")
    for split in USES:
        questions = assets.questions(split)
        digest = set_hash(questions)
        say(f"questions/{split}: {len(questions)}, {digest[:12]}")
        made.append(
            SetFile(
                name=f"questions/{split}",
                items=len(questions),
                sha256=digest,
                file="",
            )
        )
    return made, failed


def _wanted(study: Study) -> Iterator[_Wanted]:
    """Sets as stages ask for them: warm-up goes with either seed of a pair."""
    warm = study.profile.measure.warmup_requests
    for name, scenario in study.scenarios.items():
        for pair in scenario.seed_pairs[: study.profile.seed_pairs]:
            for split in USES:
                yield _Wanted(name, pair.seed(split), split, None)
                yield _Wanted(name, pair.seed(split), "warmup", warm)


def _export(assets: Assets, folder: Path, say: Callable[[str], None]) -> None:
    for wanted in _wanted(assets.study):
        scenario = assets.study.scenarios[wanted.scenario]
        path = folder / wanted.scenario / str(wanted.seed) / "requests.jsonl"
        if wanted.split == "warmup":
            continue
        try:
            requests = assets.requests(scenario.workload, wanted.seed, wanted.split)
        except WorkloadError:
            continue  # told with the sets
        write_upstream_requests(path, requests, assets.documents, scenario.range_ratio)
        say(f"{path}")


def _joined(
    study: Study, failed: list[IbenchError], say: Callable[[str], None]
) -> IbenchError:
    if len(failed) == 1 and isinstance(failed[0], UserError):
        return failed[0]
    for error in failed:
        say(f"missing: {error}")
    return DataError(
        f"{study.profile.name}: {len(failed)} of its data are missing, the first: "
        f"{failed[0]}"
    )
