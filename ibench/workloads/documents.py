"""Where the text of requests comes from: the standard library, or LongBench v2."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from ibench.errors import WorkloadError
from ibench.records import Closed, sha256_of

__all__ = [
    "Document",
    "corpus_hash",
    "load_rows",
    "longbench_documents",
    "stdlib_documents",
]

_SKIPPED_FOLDERS = frozenset(
    {"site-packages", "dist-packages", "test", "tests", "idlelib", "__pycache__"}
)


class Document(Closed):
    """One source text; requests are cut from its head."""

    document_id: str
    text: str
    gold: str | None = Field(default=None, description="answer to its question, A to D")


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
    folder: Path, cache_dir: Path | None = None
) -> tuple[Document, ...]:
    """Read LongBench v2 in the form the published harness asks it (reference 3.1).

    The text of a document is the whole user message: the context, a line with the
    question behind ``Question:``, one line a choice. The order of the data set is
    kept, because the sampling rule indexes into it.

    Args:
        folder: holds the data set's ``data.json``.
        cache_dir: where ``datasets`` keeps its tables; its own default if None.

    Raises:
        WorkloadError: no such file, or a row lacks a column.
    """
    rows = load_rows(folder, "data.json", cache_dir)
    try:
        return tuple(
            Document(
                document_id=str(row["_id"]),
                text=_user_message(row),
                gold=row.get("answer"),
            )
            for row in rows
        )
    except KeyError as error:
        raise WorkloadError(f"{folder}: no column {error}") from error


def load_rows(
    folder: Path, pattern: str, cache_dir: Path | None = None
) -> Iterable[Mapping[str, Any]]:
    """Open files of a data set on this disk through ``datasets``; no network.

    Args:
        folder: the data set's folder.
        pattern: its files below it, ``*.json``, ``*.jsonl`` or ``*.parquet``.
        cache_dir: cache of ``datasets``; its own default if None.

    Raises:
        WorkloadError: there is no such file, or it is not what its name says.
    """
    # datasets takes a second to import; runs on the embedded corpus never need it.
    import datasets  # noqa: PLC0415

    files = sorted(str(path) for path in folder.glob(pattern))
    if not files:
        raise WorkloadError(f"{folder}: no file like {pattern}")
    kind = "parquet" if pattern.endswith("parquet") else "json"
    try:
        return datasets.load_dataset(  # type: ignore[no-any-return]
            kind,
            data_files=files,
            split="train",
            cache_dir=None if cache_dir is None else str(cache_dir),
        )
    except (datasets.exceptions.DatasetGenerationError, ValueError) as error:
        raise WorkloadError(f"{files[0]}: not {kind} of one schema") from error


def corpus_hash(documents: Iterable[Document]) -> str:
    """Hash ids and texts in order: 64 hexadecimal digits."""
    return sha256_of([[d.document_id, d.text] for d in documents])


def _python_files(root: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(root):
        names[:] = sorted(set(names) - _SKIPPED_FOLDERS)
        yield from (Path(folder, name) for name in files if name.endswith(".py"))


def _user_message(row: Mapping[str, Any]) -> str:
    choices = [f"{letter}) {row['choice_' + letter]}" for letter in "ABCD"]
    return "\n".join([row["context"], f"Question: {row['question']}", *choices])
