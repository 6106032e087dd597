"""Records on disk: atomic publication, re-hashing, attempts.

A stage folder holds its tables and, written last by rename, ``record.json``: its
existence means that the stage finished. The file wraps the record with the SHA-256 of
its canonical JSON, so that an edited record is told from a finished one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from ibench.errors import CorruptResultError
from ibench.files import file_sha256, tree_sha256, write_atomic
from ibench.records import (
    BaselineResult,
    Closed,
    Evidence,
    Record,
    Submission,
    TableRef,
    canonical_json,
)

__all__ = [
    "RECORD", "RecordHead", "attempt_count", "dump", "file_ref", "load_record",
    "publish", "read_head", "read_rows", "retire", "run_id_on_disk", "verify",
    "write_rows",
]  # fmt: skip

RECORD = "record.json"
ATTEMPTS = "attempts"
_HEAD, _MIDDLE, _END = b'{"sha256": "', b'",\n"record": ', b"}\n"
_HEX = 64


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as a Parquet table, atomically; an empty table keeps no columns."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(list(rows)), sink, compression="zstd")
    write_atomic(path, sink.getvalue().to_pybytes())


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a Parquet table as rows.

    Raises:
        CorruptResultError: the file is missing, half written or not Parquet.
    """
    try:
        return list(pq.read_table(path).to_pylist())
    except (OSError, pa.ArrowException) as error:
        raise CorruptResultError(
            f"{path}: not a readable Parquet table: move its folder away and run "
            "`make reproduce` again"
        ) from error


def file_ref(path: Path, folder: Path) -> TableRef:
    """Describe a file beside its record."""
    return TableRef(
        path=path.relative_to(folder).as_posix(),
        sha256=file_sha256(path),
        bytes=path.stat().st_size,
    )


def publish(folder: Path, record: Record) -> Path:
    """Write ``record.json`` last; afterwards the stage counts as finished.

    The record stands in it as the very text that its hash is of, so that checking it
    needs no parsing; ``python -m json.tool`` shows it in lines.
    """
    text = canonical_json(record.model_dump(mode="json"))
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    path = folder / RECORD
    write_atomic(path, b"".join((_HEAD, sha256.encode(), _MIDDLE, text.encode(), _END)))
    return path


def load_record(folder: Path) -> Record:
    """Read a record and check its own hash (not its tables: see ``verify``).

    Raises:
        CorruptResultError: no record, an edited one, or one of another schema.
    """
    path = folder / RECORD
    return _validated(path, _intact(path, _read(path)))


def _validated(path: Path, text: bytes) -> Record:
    try:
        return Record.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise CorruptResultError(_broken(path, "another schema version")) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise CorruptResultError(
            f"{path}: no record: run `make reproduce` to finish this stage"
        ) from error


def _intact(path: Path, raw: bytes) -> bytes:
    """Canonical text of a record whose file holds what its hash says."""
    at = len(_HEAD) + _HEX
    text = raw[at + len(_MIDDLE) : -len(_END)]
    if hashlib.sha256(text).hexdigest().encode() == raw[len(_HEAD) : at]:
        return text
    try:  # laid out by hand or by an earlier version, or edited
        data = json.loads(raw)
        text, sha256 = canonical_json(data["record"]).encode(), data["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptResultError(_broken(path, "not a record")) from error
    if hashlib.sha256(text).hexdigest() != sha256:
        raise CorruptResultError(_broken(path, "edited after it was written"))
    return text


def _broken(path: Path, why: str) -> str:
    return (
        f"{path}: {why}: move the folder {path.parent} away and run `make reproduce`; "
        "other stages are kept"
    )


class RecordHead(NamedTuple):
    """What there is to know of a finished stage without its result.

    Attributes:
        run_id: SHA-256 of the spec that it was run with.
        sha256: of the record's file.
        inputs: SHA-256 of each upstream record that it read, by folder.
        notebook_sha256: of the code that it ran; None where no notebook ran it.
        python: version of the interpreter.
        wall_s: seconds that it took.
    """

    run_id: str
    sha256: str
    inputs: dict[str, str]
    notebook_sha256: str | None
    python: str
    wall_s: float


def read_head(folder: Path) -> RecordHead | None:
    """Look at the finished stage in a folder; None if there is none.

    An intact record of an earlier schema has an id that no job has: it is outdated,
    like one whose parameters changed, and no cause for alarm.

    Raises:
        CorruptResultError: the record is not what its hash says.
    """
    path = folder / RECORD
    if not path.exists():
        return None
    raw = _read(path)
    body, sha256 = json.loads(_intact(path, raw)), hashlib.sha256(raw).hexdigest()
    current = Record.model_fields["schema_version"].default
    written = body.get("schema_version")
    if isinstance(written, int) and written < current:
        return RecordHead(f"schema {written}", sha256, {}, None, "", 0.0)
    try:
        # Valid because it is what was published; who builds on it checks all of it.
        source = body["provenance"]
        return RecordHead(
            str(body["run_id"]),
            sha256,
            dict(source["inputs"]),
            source["notebook_sha256"],
            str(source["versions"].get("python", "")),
            float(source["wall_s"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptResultError(_broken(path, "another schema version")) from error


def run_id_on_disk(folder: Path) -> str | None:
    """Run id of the finished stage in a folder, or None; see ``read_head``."""
    found = read_head(folder)
    return found.run_id if found else None


def attempt_count(folder: Path) -> int:
    """How many earlier attempts a stage folder keeps."""
    attempts = folder / ATTEMPTS
    return len(list(attempts.iterdir())) if attempts.is_dir() else 0


def retire(folder: Path) -> int:
    """Move what a crashed or outdated run left to ``attempts/<n>``; return next n."""
    attempts, done = folder / ATTEMPTS, attempt_count(folder)
    left = (
        [p for p in folder.iterdir() if p.name != ATTEMPTS] if folder.exists() else []
    )
    if left:
        target = attempts / str(done + 1)
        target.mkdir(parents=True)
        for path in left:
            shutil.move(path, target / path.name)
        done += 1
    folder.mkdir(parents=True, exist_ok=True)
    return done + 1


def verify(folder: Path) -> list[str]:
    """Re-hash a finished stage; return one line per deviation (empty: intact)."""
    try:
        record = load_record(folder)
    except CorruptResultError as error:
        return [str(error)]
    lines = []
    for ref in record.files.values():
        path = folder / ref.path
        if not path.is_file():
            lines.append(f"{path}: missing, its record says {ref.sha256[:12]}")
        elif file_sha256(path) != ref.sha256:
            lines.append(f"{path}: changed, its record says {ref.sha256[:12]}")
    result = record.result
    if isinstance(result, Submission):
        tree = tree_sha256(folder / result.path)
        if tree != result.sha256:
            lines.append(f"{folder / result.path}: changed since it was submitted")
    evidence = result.evidence if isinstance(result, BaselineResult) else result
    if isinstance(evidence, Evidence):
        lines += _other_sets(folder, record, evidence)
    return lines


def _other_sets(folder: Path, record: Record, evidence: Evidence) -> list[str]:
    """Sets beside a record that are not those that its evidence names."""
    named = {
        "requests.jsonl": evidence.requests_sha256,
        "questions.jsonl": evidence.questions_sha256,
    }
    return [
        f"{folder / name}: not the set that its evidence names, {sha256[:12]}"
        for name, sha256 in named.items()
        if name in record.files and record.files[name].sha256 != sha256
    ]


def dump(rows: Sequence[Closed]) -> list[dict[str, Any]]:
    """Render records as plain rows for ``write_rows``."""
    return [row.model_dump(mode="json") for row in rows]
