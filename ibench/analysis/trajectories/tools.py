"""What a tool call does: scaffolds name the same few tools differently."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from ibench.analysis.trajectories.known import KNOWN, ToolGroup
from ibench.analysis.trajectories.reading import as_dict, as_text

__all__ = ["ToolGroup", "call_text", "exit_code_in", "tool_group"]

_GROUPS: dict[str, ToolGroup] = {
    name: group for group, names in KNOWN.tools.items() for name in names
}
_COMMAND_KEYS = ("command", "cmd", "script", "keystrokes", "chars")
_CONTENT_KEYS = ("content", "new_string", "newString", "file_text", "new_str", "patch")
_PATH_KEYS = ("file_path", "filePath", "path", "filename", "notebook_path")
_PATCHED = re.compile(r"^\*\*\* (?:Add|Update) File: (\S+)", re.M)
_EXIT = re.compile(
    r"(?:^|\n|\")\s*(?:Process )?(?:exited with (?:exit )?code|exit[_ ]?(?:code|status)"
    r"|return ?code)\"?\s*[:=]?\s*(-?\d{1,3})\b",
    re.IGNORECASE,
)


@lru_cache(maxsize=256)
def tool_group(name: str | None) -> ToolGroup:
    """Say what a tool of this name does.

    >>> tool_group("run_shell_command"), tool_group("MultiEdit"), tool_group("Frobnic")
    ('shell', 'write', 'unknown')
    """
    letters = "".join(c for c in (name or "").lower() if c.isalpha())
    return _GROUPS.get(letters, "unknown")


def call_text(name: str | None, arguments: object) -> tuple[str, str | None]:
    """Give the command or content of a call, and the file it writes if it does.

    >>> call_text("Bash", {"command": "ls"})
    ('ls', None)
    >>> call_text("Write", {"file_path": "a.sh", "content": "exec x"})
    ('exec x', 'a.sh')
    >>> call_text("shell", {"command": ["bash", "-lc", "nvidia-smi -L"]})
    ('nvidia-smi -L', None)
    """
    fields = as_dict(arguments)
    if not fields:
        text = _argv(arguments)
        return text, _patched(name, text)
    if tool_group(name) == "write" and (found := _written(fields)):
        return found
    for key in _COMMAND_KEYS:
        if key in fields:
            text = _argv(fields[key])
            return text, _patched(name, text)
    return as_text(dict(fields)), None


def _written(fields: dict[str, Any]) -> tuple[str, str | None] | None:
    path = next((str(fields[k]) for k in _PATH_KEYS if fields.get(k)), None)
    for key in _CONTENT_KEYS:
        if isinstance(fields.get(key), str):
            return fields[key], path or _patched("patch", fields[key])
    if isinstance(fields.get("edits"), list):
        parts = (as_dict(edit).get("new_string") for edit in fields["edits"])
        return "\n".join(as_text(part) for part in parts), path
    if isinstance(fields.get("changes"), list):
        first = as_dict(next(iter(fields["changes"]), None))
        return as_text(fields), path or str(first.get("path") or "") or None
    return None


def _patched(name: str | None, text: str) -> str | None:
    if tool_group(name) != "write" and "*** Begin Patch" not in text:
        return None
    found = _PATCHED.search(text)
    return found[1] if found else None


def _argv(value: object) -> str:
    if isinstance(value, list):
        words = [as_text(v) for v in value]
        if len(words) == 3 and words[1].startswith("-") and words[1].endswith("c"):
            return words[2]
        return " ".join(words)
    return as_text(value)


def exit_code_in(text: str) -> int | None:
    """Read the exit code a scaffold prints at the head of a tool's output.

    >>> exit_code_in("Exit code 126"), exit_code_in("all good")
    (126, None)
    """
    found = _EXIT.search(text[:300])
    return int(found[1]) if found else None
