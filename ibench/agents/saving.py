"""What of a session is kept, and that no secret of it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from ibench.agents.redact import NAMED, Redactor

__all__ = ["save_session"]

TRANSCRIPT, TRAJECTORY = "transcript.log", "trajectory.json"
HIDDEN = "[redacted:token]"


def save_session(
    root: Path,
    folder: Path,
    secrets: Sequence[str],
    *,
    facts: Mapping[str, JsonValue],
    over: bool,
    keep: Callable[[str], None],
) -> list[str]:
    """Take secrets out of a session's files; copy transcript and trajectory out of it.

    Args:
        root: the session's working folder; its files are changed in place, so that
            neither the workspace nor a session that waits holds a key.
        folder: where the copies go.
        secrets: values known to be secret.
        facts: what the trajectory's format has no place for.
        over: copy them; a session that goes on keeps them for its end.
        keep: told the names of the copies.

    Returns:
        Warnings: files of the workspace that held a secret.
    """
    redactor = Redactor(secrets, homes=[str(Path.home())])
    if over:
        if (root / TRANSCRIPT).is_file():
            redactor.copy(root / TRANSCRIPT, folder / TRANSCRIPT)
            keep(TRANSCRIPT)
        if (root / "logs" / TRAJECTORY).is_file():
            document = json.loads((root / "logs" / TRAJECTORY).read_text())
            document["extra"] = {**(document.get("extra") or {}), **facts}
            text = json.dumps(_clean(redactor, document), indent=1, ensure_ascii=False)
            (folder / TRAJECTORY).write_text(text)
            keep(TRAJECTORY)
    else:
        # A login is laid anew each time; what an agent cached of one is gone.
        redactor.copy(root / TRANSCRIPT, root / "redacted.log")
        shutil.move(root / "redacted.log", root / TRANSCRIPT)
        redactor.folder(root / "home")
        redactor.folder(root / "shown")
        redactor.folder(root / "logs")
    changed = redactor.folder(root / "workspace")
    return [f"a secret was taken out of {name}" for name in changed]


def _clean(redactor: Redactor, value: JsonValue, name: str = "") -> JsonValue:
    """Redact the strings of a document, which stays one."""
    if isinstance(value, str):
        return HIDDEN if NAMED.search(name) and value else redactor.text(value)
    if isinstance(value, list):
        return [_clean(redactor, v) for v in value]
    if isinstance(value, dict):
        return {redactor.text(k): _clean(redactor, v, k) for k, v in value.items()}
    return value
