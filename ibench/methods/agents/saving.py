"""What of a session is kept, and that no secret of it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from ibench.methods.agents.links import printable, read_head
from ibench.methods.agents.redact import NAMED, Redactor
from ibench.methods.agents.workspace import EVALUATOR_FILES
from ibench.records import Evaluation

__all__ = ["read_evaluations", "save_session"]

TRANSCRIPT, TRAJECTORY = "transcript.log", "trajectory.json"
HIDDEN = "[redacted:token]"
EVALUATIONS_BYTES = 16 * 2**20
LINES_NAMED = 5


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
        Warnings: files of the workspace that held a secret, a broken trajectory.
    """
    redactor, warnings = Redactor(secrets, homes=[str(Path.home())]), []
    if over:
        if (root / TRANSCRIPT).is_file():
            redactor.copy(root / TRANSCRIPT, folder / TRANSCRIPT)
            keep(TRANSCRIPT)
        found = root / "logs" / TRAJECTORY
        if found.is_file():
            text = _trajectory(found, redactor, facts)
            if text is None:
                warnings.append(f"left out {TRAJECTORY}: it cannot be read")
            else:
                (folder / TRAJECTORY).write_text(text)
                keep(TRAJECTORY)
    else:
        # A login is laid anew each time; what an agent cached of one is gone.
        if (root / TRANSCRIPT).is_file():
            redactor.copy(root / TRANSCRIPT, root / "redacted.log")
            shutil.move(root / "redacted.log", root / TRANSCRIPT)
        redactor.folder(root / "home")
        redactor.folder(root / "shown")
        redactor.folder(root / "logs")
    changed = redactor.folder(root / "workspace", own=EVALUATOR_FILES)
    return warnings + [
        f"a secret was taken out of {printable(name)}" for name in changed
    ]


def read_evaluations(path: Path) -> tuple[tuple[Evaluation, ...], list[str]]:
    """Read the agent's evaluation log; what is broken is a warning, not an end."""
    data = read_head(path, EVALUATIONS_BYTES + 1) or b""
    rows, broken, warnings = [], [], []
    if len(data) > EVALUATIONS_BYTES:
        limit = f"{EVALUATIONS_BYTES >> 20} MiB"
        warnings.append(f"evaluations.jsonl was read up to {limit}")
        data = data[: data.rfind(b"\n", 0, EVALUATIONS_BYTES) + 1]
    for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
        try:
            rows.append(Evaluation.model_validate_json(line, strict=True))
        except ValueError:
            broken.append(f"evaluations.jsonl line {number} is not an evaluation")
    if more := len(broken[LINES_NAMED:]):
        warnings.append(f"evaluations.jsonl: {more} more lines are no evaluations")
    return tuple(rows), [*broken[:LINES_NAMED], *warnings]


def _trajectory(
    path: Path, redactor: Redactor, facts: Mapping[str, JsonValue]
) -> str | None:
    """A trajectory without secrets; None if it is no document."""
    try:
        document = json.loads(path.read_text())
        document["extra"] = {**(document.get("extra") or {}), **facts}
        return json.dumps(_clean(redactor, document), indent=1, ensure_ascii=False)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


def _clean(redactor: Redactor, value: JsonValue, name: str = "") -> JsonValue:
    """Redact the strings of a document, which stays one."""
    if isinstance(value, str):
        return HIDDEN if NAMED.search(name) and value else redactor.text(_valid(value))
    if isinstance(value, list):
        return [_clean(redactor, v) for v in value]
    if isinstance(value, dict):
        return {
            redactor.text(_valid(k)): _clean(redactor, v, k) for k, v in value.items()
        }
    return value


def _valid(text: str) -> str:
    """Half of a character, as a cut output has it, can be neither kept nor shown."""
    return text if text.isascii() else text.encode(errors="replace").decode()
