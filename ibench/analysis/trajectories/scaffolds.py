"""Rows of the transcripts that agent command lines print, one JSON object a line.

The public data set has one format for all; raw transcripts (``solve_out_run1.txt``,
``trace.txt``) have their scaffold's own. A row is recognised by itself, so that mixed
files, and files with other text between, can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from ibench.analysis.trajectories.events import EventKind, Source
from ibench.analysis.trajectories.reading import (
    Item,
    as_code,
    as_dict,
    as_text,
    seconds,
)
from ibench.analysis.trajectories.tools import call_text, exit_code_in

__all__ = ["items_of", "scaffold_of"]

Row: TypeAlias = dict[str, Any]
_SOURCES: dict[str, Source] = {
    "system": "system",
    "user": "user",
    "assistant": "agent",
    "agent": "agent",
    "model": "agent",
    "tool": "tool",
}
_FILE_UPDATE = "\nfile update:\ndiff --git "


def scaffold_of(row: Row) -> str | None:
    """Name the format of a row, None for an unknown one.

    >>> scaffold_of({"i": 0, "role": "user", "type": "text", "text": "Serve it."})
    'public'
    >>> scaffold_of({"type": "item.completed", "item": {"type": "reasoning"}})
    'codex'
    """
    kind = row.get("type")
    if not isinstance(kind, str):
        return None
    if "part" in row or kind in {"step_start", "step_finish"}:
        return "opencode"
    if kind.startswith(("item.", "thread.", "turn.")):
        return "codex"
    if isinstance(row.get("message"), dict) or ("session_id" in row and "uuid" in row):
        return "claude"
    if kind in {"init", "tool_use", "tool_result", "message", "result", "error"} and (
        "tool_id" in row or "timestamp" in row
    ):
        return "gemini"
    return "public" if str(row.get("role")) in _SOURCES else None


def items_of(row: Row) -> Iterator[Item] | None:
    """Turn a row into items; None if no scaffold writes such a row."""
    scaffold = scaffold_of(row)
    return None if scaffold is None else _READERS[scaffold](row)


def _public(row: Row) -> Iterator[Item]:
    kind, meta = str(row["type"]), as_dict(row.get("meta"))
    source = _SOURCES[str(row["role"])]
    at, tool = seconds(row.get("timestamp")), row.get("tool_name")
    tool = str(tool) if tool else None
    if kind == "tool_call" or (kind == "tool_use" and source == "agent"):
        text, path = call_text(tool, row.get("tool_input"))
        yield Item("tool_call", "agent", text, tool, path, at=at)
    elif kind == "tool_result" or source == "tool":
        text = as_text(row.get("tool_output") or row.get("text"))
        text, diff = _without_diff(text)
        failed = meta.get("is_error") is True or meta.get("status") == "failed"
        known = "is_error" in meta or "status" in meta
        yield Item(
            "tool_result",
            "tool",
            text,
            tool,
            exit_code=exit_code_in(text),
            is_error=failed if known else None,
            at=at,
        )
        if diff:
            yield Item("system", "system", diff, "file update", at=at)
    else:
        text = as_text(row.get("text"))
        yield Item(_talk(kind, source), source, text, at=at)


def _without_diff(text: str) -> tuple[str, str]:
    """Split off the cumulative diff that old Codex traces append to results.

    The diff repeats every earlier edit, so numbers and flags in it are no output of
    the command; it is kept as an event of its own.
    """
    head, mark, diff = text.partition(_FILE_UPDATE)
    return head, "diff --git " + diff if mark else ""


def _talk(kind: str, source: Source) -> EventKind:
    if kind in {"thinking", "reasoning"}:
        return "reasoning"
    if source == "system" or kind.startswith(("init", "status")):
        return "system"
    return "message"


def _claude(row: Row) -> Iterator[Item]:
    at, message = seconds(row.get("timestamp")), as_dict(row.get("message"))
    source = _SOURCES.get(str(row["type"]), "system")
    if not message:
        text = as_text(row.get("result") or row.get("subtype"))
        yield Item("system", "system", text, at=at)
        return
    content = message.get("content")
    for block in content if isinstance(content, list) else [content]:
        part = as_dict(block)
        kind = part.get("type")
        if kind == "tool_use":
            tool = str(part.get("name"))
            text, path = call_text(tool, part.get("input"))
            call_id = _id(part.get("id"))
            yield Item("tool_call", "agent", text, tool, path, at=at, call_id=call_id)
        elif kind == "tool_result":
            yield _result(part.get("content"), part.get("tool_use_id"), at, part)
        elif kind == "thinking":
            yield Item("reasoning", "agent", as_text(part.get("thinking")), at=at)
        else:
            yield Item(_talk("text", source), source, as_text(block), at=at)


def _result(output: object, call_id: object, at: float | None, row: Row) -> Item:
    text, failed = as_text(output), row.get("is_error")
    if failed is None and "status" in row:
        failed = str(row["status"]) not in {"success", "completed"}
    return Item(
        "tool_result",
        "tool",
        text,
        exit_code=exit_code_in(text),
        is_error=failed if isinstance(failed, bool) else None,
        at=at,
        call_id=_id(call_id),
    )


def _id(value: object) -> str | None:
    return None if value is None else str(value)


def _codex(row: Row) -> Iterator[Item]:
    item, at = as_dict(row.get("item")), seconds(row.get("timestamp"))
    kind = str(item.get("type") or item.get("item_type") or "")
    if row["type"] != "item.completed":  # "started" repeats what "completed" says
        return
    if kind in {"command_execution", "file_change", "mcp_tool_call", "web_search"}:
        arguments = {k: item[k] for k in ("command", "changes", "query") if k in item}
        text, path = call_text(kind, arguments)
        call_id = _id(item.get("id"))
        yield Item("tool_call", "agent", text, kind, path, at=at, call_id=call_id)
        output = _result(item.get("aggregated_output"), item.get("id"), at, item)
        output.exit_code = as_code(item.get("exit_code"))
        yield output
    elif kind == "reasoning":
        yield Item("reasoning", "agent", as_text(item.get("text")), at=at)
    else:
        source: Source = "agent" if "message" in kind else "system"
        text = as_text(item.get("text") or item.get("message"))
        yield Item("message" if source == "agent" else "system", source, text, at=at)


def _gemini(row: Row) -> Iterator[Item]:
    kind, at = row["type"], seconds(row.get("timestamp"))
    if kind == "tool_use":
        tool = str(row.get("tool_name"))
        text, path = call_text(tool, row.get("parameters"))
        call_id = _id(row.get("tool_id"))
        yield Item("tool_call", "agent", text, tool, path, at=at, call_id=call_id)
    elif kind == "tool_result":
        yield _result(row.get("output"), row.get("tool_id"), at, row)
    elif kind == "message":
        source = _SOURCES.get(str(row.get("role")), "agent")
        yield Item(_talk("text", source), source, as_text(row.get("content")), at=at)
    else:
        yield Item("system", "system", as_text(row.get("message") or kind), at=at)


def _opencode(row: Row) -> Iterator[Item]:
    part, at = as_dict(row.get("part")), seconds(row.get("timestamp"))
    if row["type"] == "tool_use":
        state, tool = as_dict(part.get("state")), str(part.get("tool"))
        text, path = call_text(tool, state.get("input"))
        call_id = _id(part.get("callID") or part.get("id"))
        yield Item("tool_call", "agent", text, tool, path, at=at, call_id=call_id)
        output = _result(state.get("output"), call_id, at, state)
        code = as_code(as_dict(state.get("metadata")).get("exit"))
        output.exit_code = output.exit_code if code is None else code
        yield output
    elif row["type"] == "reasoning":
        yield Item("reasoning", "agent", as_text(part.get("text")), at=at)
    elif row["type"] == "text":
        yield Item("message", "agent", as_text(part.get("text")), at=at)


_READERS: dict[str, Callable[[Row], Iterator[Item]]] = {
    "public": _public,
    "claude": _claude,
    "codex": _codex,
    "gemini": _gemini,
    "opencode": _opencode,
}
