"""Request sets in the published record format (reference 3.3), for comparison."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ibench.records import RequestSpec
from ibench.workloads.documents import Document

__all__ = ["upstream_record", "write_upstream_requests"]


def upstream_record(
    request: RequestSpec, gold: str | None, range_ratio: float
) -> dict[str, Any]:
    """Put a request under the published names, in their order.

    Args:
        request: of a set sampled with ``compat: upstream``.
        gold: answer to the question of its document; nothing checks against it.
        range_ratio: of the scenario.
    """
    return {
        "messages": [dict(message) for message in request.messages],
        "gold_answer": gold,
        "sample_id": request.document_id,
        "max_new_tokens": request.max_tokens,
        "temperature": request.temperature,
        "require_json": False,
        "parse_mode": "",
        "ignore_eos": request.ignore_eos,
        "target_input_token_count": request.target_input_tokens,
        "input_token_count": request.input_tokens,
        "source_prompt_token_count": request.source_tokens,
        "sampling_range_ratio": range_ratio,
        "content_hash": request.content_hash,
    }


def write_upstream_requests(
    path: Path,
    requests: Iterable[RequestSpec],
    documents: Iterable[Document],
    range_ratio: float,
) -> None:
    """Write ``requests.jsonl``: a JSON object a line, non-ASCII kept."""
    golds = {document.document_id: document.gold for document in documents}
    records = (upstream_record(r, golds[r.document_id], range_ratio) for r in requests)
    lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
