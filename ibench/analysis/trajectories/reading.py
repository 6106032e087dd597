"""Lines, JSON and text of unknown quality, read within bounds.

A trajectory is written by somebody else's program: a line may be broken, hold 50 MB,
nest without end or carry half a character. Nothing here raises for that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from ibench.analysis.trajectories.events import Event, EventKind, Source

__all__ = [
    "Cutter", "Item", "as_code", "as_dict", "as_number", "as_text", "json_file",
    "json_rows", "number_events", "seconds",
]  # fmt: skip

LINE_LIMIT = 256 * 1024 * 1024
FILE_LIMIT = 512 * 1024 * 1024
HEAD = TAIL = 6_000
# A run keeps this many characters at full bounds, and little of each event beyond.
RUN_LIMIT = 48_000_000
HEAD_LATE = TAIL_LATE = 200


@dataclass(slots=True)
class Item:
    """An event before it has a number."""

    kind: EventKind
    source: Source
    text: str = ""
    tool: str | None = None
    path: str | None = None
    exit_code: int | None = None
    is_error: bool | None = None
    at: float | None = None  # seconds on any clock
    call_id: str | None = None


class Cutter:
    """Keep head and tail of long texts, and count what one run keeps."""

    def __init__(self, limit: int = RUN_LIMIT) -> None:
        """Start with nothing kept."""
        self._left = limit

    def cut(self, text: str) -> str:
        """Shorten a text to its bounds and make it valid Unicode."""
        head, tail = (HEAD, TAIL) if self._left > 0 else (HEAD_LATE, TAIL_LATE)
        if len(text) > head + tail:
            text = text[:head] + text[-tail:]
        self._left -= len(text)
        return _valid(text)


def _valid(text: str) -> str:
    """Half of a surrogate pair can be neither printed nor stored: "?" instead."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def number_events(
    run_id: str, items: Iterable[Item], cutter: Cutter | None = None
) -> Iterator[Event]:
    """Give items their index, their time since the first stamp, and their call.

    A result answers the call of its id; without ids the oldest open call of the turn,
    where a turn ends with the agent's next text.
    """
    cutter, start = cutter or Cutter(), None
    by_id: dict[str, tuple[int, str | None]] = {}
    waiting: list[tuple[int, str | None]] = []
    for index, item in enumerate(items):
        call: tuple[int, str | None] | None = None
        if item.kind == "tool_call":
            if item.call_id is not None:
                by_id[item.call_id] = (index, item.tool)
            else:
                waiting.append((index, item.tool))
        elif item.kind == "tool_result":
            call = by_id.get(item.call_id) if item.call_id else None
            if call is None and item.call_id is None and waiting:
                call = waiting.pop(0)
        elif item.source == "agent":
            waiting.clear()
        if start is None:
            start = item.at
        tool = item.tool or (call[1] if call else None)
        yield Event(
            run_id,
            index,
            None if item.at is None or start is None else item.at - start,
            item.kind,
            item.source,
            _valid(tool) if tool else tool,
            cutter.cut(item.text),
            len(item.text),
            _valid(item.path) if item.path else item.path,
            item.exit_code,
            item.is_error,
            call[0] if call else None,
        )


def json_rows(path: Path, problems: list[str], name: str) -> Iterator[dict[str, Any]]:
    """Read a file of JSON lines; bad lines become one problem line together.

    Args:
        path: the file.
        problems: gets at most one line of each kind of trouble.
        name: how the run is called in them.
    """
    broken: list[int] = []
    huge: list[int] = []
    for n, line in enumerate(_lines(path, huge), start=1):
        if not (line := line.strip(b" \t\r\n\0")):
            continue
        row = _loads(line)
        if isinstance(row, dict):
            yield row
        else:
            broken.append(n)
    for lines, what in ((broken, "not a JSON object"), (huge, "longer than the limit")):
        if lines:
            count = "line" if len(lines) == 1 else "lines"
            text = f"{name}: {len(lines)} {count} skipped, {what}"
            problems.append(f"{text} (first: line {lines[0]} of {path.name})")


def _lines(path: Path, huge: list[int]) -> Iterator[bytes]:
    with path.open("rb") as stream:
        n = 0
        while line := stream.readline(LINE_LIMIT):
            n += 1
            if len(line) < LINE_LIMIT or line.endswith(b"\n"):
                yield line
                continue
            huge.append(n)
            while (rest := stream.readline(LINE_LIMIT)) and not rest.endswith(b"\n"):
                pass
            yield b""


def json_file(path: Path) -> Any:  # noqa: ANN401 (any JSON value)
    """Read one JSON file, None if it is none, is too large or cannot be read."""
    try:
        return None if path.stat().st_size > FILE_LIMIT else _loads(path.read_bytes())
    except OSError:
        return None


def _loads(data: bytes) -> Any:  # noqa: ANN401 (any JSON value)
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return _loads_leniently(data)


def _loads_leniently(data: bytes) -> Any:  # noqa: ANN401 (any JSON value)
    """Read what Python's own reader takes beyond the standard: NaN, half characters."""
    try:
        return json.loads(data, parse_constant=lambda _: None)
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
    except (ValueError, RecursionError):
        return None
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None


def as_dict(value: object) -> dict[str, Any]:
    """Take an object, or the JSON text of one; empty for anything else."""
    if isinstance(value, str) and value.startswith("{"):
        value = _loads(value.encode("utf-8", "replace"))
    return value if isinstance(value, dict) else {}


def as_number(value: object) -> float | None:
    """Take a finite number; None for anything else, and for a Boolean."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def as_code(value: object) -> int | None:
    """Take an exit code: a whole number of 32 bits, no Boolean."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if -(2**31) <= value < 2**31 else None


def as_text(value: object) -> str:
    """Take text from a string, a list of content parts, or render JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list):
        return "\n".join(as_text(v) for v in value)
    if isinstance(value, dict):
        for key in ("text", "content", "output"):
            if isinstance(value.get(key), str | list):
                return as_text(value[key])
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def seconds(stamp: object) -> float | None:
    """Read an ISO 8601 text, or a number of seconds or milliseconds since 1970."""
    if isinstance(stamp, str):
        try:
            when = datetime.fromisoformat(stamp)
        except ValueError:
            return None
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    value = as_number(stamp)
    # A million million seconds is the year 33658: such a number counts milliseconds.
    return value / 1e3 if value is not None and value > 1e11 else value
