"""Where the text of requests comes from: the standard library, or LongBench v2."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ibench.errors import OfflineError, WorkloadError
from ibench.records import Closed, sha256_of

__all__ = [
    "Document",
    "corpus_hash",
    "load_rows",
    "longbench_documents",
    "stdlib_documents",
]

LONGBENCH = "THUDM/LongBench-v2"
_SKIPPED_FOLDERS = frozenset(
    {"site-packages", "dist-packages", "test", "tests", "idlelib", "__pycache__"}
)


class Document(Closed):
    """One source text; requests are cut from its head."""

    document_id: str
    text: str


def stdlib_documents() -> tuple[Document, ...]:
    """Read the standard library of the running interpreter: the embedded corpus.

    Tests, IDLE, installed packages and undecodable files are left out. The text
    depends on the interpreter's patch version: see ``corpus_hash``.

    Returns:
        One document a ``*.py`` file, sorted by id (POSIX path below the library).

    Raises:
        WorkloadError: the interpreter carries no library sources.
    """
    root = Path(sysconfig.get_path("stdlib"))
    texts = {}
    for path in _python_files(root):
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            continue
        if text.strip():
            texts[path.relative_to(root).as_posix()] = text
    if not texts:
        raise WorkloadError(f"no Python sources under {root}")
    return tuple(Document(document_id=i, text=texts[i]) for i in sorted(texts))


def longbench_documents(
    revision: str, cache_dir: Path | None = None, *, source: Path | None = None
) -> tuple[Document, ...]:
    """Load LongBench v2 in the form the published harness asks it (reference 3.1).

    The text of a document is the whole user message: the context, a line with the
    question behind ``Question:``, one line a choice. The order of the data set is
    kept, because the sampling rule indexes into it.

    Args:
        revision: commit of the data set on the hub.
        cache_dir: where ``datasets`` keeps its files; its own default if None.
        source: a JSON file, or a folder of them, of the same schema instead.

    Raises:
        OfflineError: the hub is out of reach and nothing is cached.
        WorkloadError: a row lacks a column.
    """
    rows = load_rows(LONGBENCH, "train", revision, cache_dir, source)
    try:
        return tuple(
            Document(document_id=str(row["_id"]), text=_user_message(row))
            for row in rows
        )
    except KeyError as error:
        raise WorkloadError(f"{source or LONGBENCH}: no column {error}") from error


def load_rows(
    name: str,
    split: str,
    revision: str,
    cache_dir: Path | None = None,
    source: Path | None = None,
) -> Iterable[Mapping[str, Any]]:
    """Open a hub data set, or local JSON of its schema, through ``datasets``.

    Args:
        name: hub id of the data set.
        split: split on the hub; ignored for a local source.
        revision: commit on the hub; ignored for a local source.
        cache_dir: cache of ``datasets``; its own default if None.
        source: JSON file or folder of ``*.json`` / ``*.jsonl`` files.

    Raises:
        OfflineError: one line with the remedy.
        WorkloadError: the local source holds no JSON file.
    """
    # datasets takes a second to import; runs on the embedded corpus never need it.
    import datasets  # noqa: PLC0415

    cache = None if cache_dir is None else str(cache_dir)
    if source is not None:
        files = [str(path) for path in _json_files(source)]
        return datasets.load_dataset(  # type: ignore[no-any-return]
            "json", data_files=files, split="train", cache_dir=cache
        )
    try:
        return datasets.load_dataset(  # type: ignore[no-any-return]
            name, split=split, revision=revision, cache_dir=cache
        )
    except (OSError, ValueError) as error:
        # Every way of not reaching the hub ends in one of the two; their messages
        # run over many lines and name no remedy.
        raise OfflineError(
            f"{name}@{revision}: not reachable and not cached "
            f"({type(error).__name__}); fetch it once with network access: "
            f"hf download --repo-type dataset {name} --revision {revision}"
        ) from error


def corpus_hash(documents: Iterable[Document]) -> str:
    """Hash ids and texts in order: 64 hexadecimal digits."""
    return sha256_of([[d.document_id, d.text] for d in documents])


def _python_files(root: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(root):
        names[:] = sorted(set(names) - _SKIPPED_FOLDERS)
        yield from (Path(folder, name) for name in files if name.endswith(".py"))


def _json_files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    files = sorted(p for p in source.glob("*") if p.suffix in {".json", ".jsonl"})
    if not files:
        raise WorkloadError(f"{source}: no .json or .jsonl file")
    return files


def _user_message(row: Mapping[str, Any]) -> str:
    choices = [f"{letter}) {row['choice_' + letter]}" for letter in "ABCD"]
    return "\n".join([row["context"], f"Question: {row['question']}", *choices])
