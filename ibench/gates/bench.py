"""A measured server as it is read back from disk for judgement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ibench.records import Evidence, RequestResult
from ibench.store import read_rows

__all__ = ["Bench", "read_bench"]


class Bench:
    """What one server life showed, as read back from disk.

    Args:
        evidence: the record.
        results: one row a measured request.
        answers: text by question id; None for a failed request.
    """

    def __init__(
        self,
        evidence: Evidence,
        results: Sequence[RequestResult],
        answers: Mapping[str, str | None],
    ) -> None:
        """Keep the three together."""
        self.evidence, self.results, self.answers = evidence, tuple(results), answers


def read_bench(folder: Path, evidence: Evidence) -> Bench:
    """Read a measured server's tables back."""
    chunks: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in read_rows(folder / "chunks.parquet"):
        key = (row.pop("phase"), row.pop("request_id"))
        del row["i"]
        chunks.setdefault(key, []).append(row)
    rows = [
        RequestResult.model_validate(
            row | {"chunks": chunks.get((row["phase"], row["request_id"]), [])}
        )
        for row in read_rows(folder / "requests.parquet")
    ]
    answers = {
        row["request_id"]: None if row["failure"] else row["text"]
        for row in read_rows(folder / "answers.parquet")
    }
    return Bench(evidence, rows, answers)
