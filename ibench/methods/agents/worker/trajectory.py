"""The trajectory of a whole session from those that an agent leaves run by run.

Some agents append to one native session when they are resumed, and their last
trajectory holds everything; others begin anew each time. Which one it was is seen from
the first step: a trajectory that begins like an earlier one replaces it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

from harbor.models.agent.context import AgentContext
from harbor.utils.trajectory_validator import TrajectoryValidator

__all__ = ["Trajectories", "copy_logs"]

LARGEST_BYTES = 2**30
# Its tokens are those of the whole session, its dollars those of the last run.
_COST_OF_THE_LAST_RUN = frozenset({"claude-code"})
_USAGE = ("n_input_tokens", "n_cache_tokens", "n_output_tokens", "cost_usd")


class Trajectories:
    """Trajectories of one session, kept on disk between runs.

    Args:
        trial: the session's folder; copies of the agent's logs are in ``agent`` below.
        shown: the folder that the agent writes its logs to.
    """

    def __init__(self, trial: Path, shown: Path) -> None:
        """Take up what an earlier life of this session left."""
        self._trial, self._kept, self._shown = trial, trial / "trajectories", shown
        self._kept.mkdir(exist_ok=True)
        self._unread, self._lost = self._kept / "unread", False

    def expect(self) -> None:
        """Note that a run begins: until it is taken, nobody knows what it holds."""
        self._lost = self._unread.exists()  # an earlier one never was
        self._unread.touch()

    def take(self, agent: Any, context: AgentContext, *, has_run: bool = True) -> None:
        """Convert what the agent left of its last run; leaving nothing is no error.

        Args:
            agent: Harbor's.
            context: gets tokens and cost.
            has_run: since the last call; without it the same run is read again.
        """
        copy_logs(self._shown, agent.logs_dir)
        source = agent.logs_dir / "trajectory.json"
        source.unlink(missing_ok=True)
        agent.populate_context_post_run(context)
        if not source.is_file():
            return
        document = json.loads(source.read_text())
        usage = {name: getattr(context, name) for name in _USAGE}
        earlier = sorted(self._kept.glob("*.json"))
        number = int(earlier[-1].stem) + 1 if earlier else 1
        spent = None
        for path in earlier:
            kept = json.loads(path.read_text())
            if _begins_like(document, kept["document"]):
                spent = kept["usage"]["cost_usd"]
                path.unlink()
        if agent.name() in _COST_OF_THE_LAST_RUN and spent is not None:
            more = [usage["cost_usd"]] if has_run else []
            usage["cost_usd"] = _total([spent, *more])
        target = self._kept / f"{number:04d}.json"
        target.write_text(json.dumps({"document": document, "usage": usage}))
        if not self._lost:
            self._unread.unlink(missing_ok=True)

    def usage(self) -> dict[str, Any]:
        """Tokens and cost of every conversation so far; None is unknown."""
        return _usage(self._all())

    def _all(self) -> list[dict[str, Any]]:
        return [json.loads(p.read_text()) for p in sorted(self._kept.glob("*.json"))]

    def write(self, notes: dict[str, Any]) -> dict[str, Any]:
        """Join them into ``trajectory.json`` and validate it.

        Returns:
            ``steps``, ``answered`` (whether the model ever did), ``problems`` of the
            validator, tokens and cost (None: unknown). A run that left nothing to read
            may have been answered all the same.
        """
        kept = self._all()
        usage = _usage(kept)
        silent = None if self._unread.exists() else False
        if not kept:
            problems = ["the agent left no record"]
            return {"steps": 0, "answered": silent, "problems": problems, **usage}
        document = kept[-1]["document"]
        steps = [step for k in kept for step in k["document"]["steps"]]
        document["steps"] = [{**s, "step_id": n} for n, s in enumerate(steps, 1)]
        document["extra"] = {**(document.get("extra") or {}), **notes}
        if len(kept) > 1:
            document.pop("final_metrics", None)  # of the last one alone
        path = self._trial / "trajectory.json"
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False))
        validator = TrajectoryValidator()
        validator.validate(path)
        return {
            "steps": len(steps),
            "answered": any(map(_is_answer, steps)) or silent,
            "problems": validator.errors,
            **usage,
        }


def copy_logs(shown: Path, target: Path) -> None:
    """Copy what is new in the agent's logs; links, devices and pipes stay behind.

    The copy is what Harbor reads and writes beside: where the agent can write, it
    could lay a link to any file of this user.
    """
    for folder, _, names in os.walk(shown):
        for name in names:
            path = Path(folder) / name
            copy = target / path.relative_to(shown)
            with contextlib.suppress(OSError):  # gone meanwhile, or not for our eyes
                _copy(path, copy)


def _copy(path: Path, copy: Path) -> None:
    # Opened without following a link and without waiting for a pipe, then asked.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as source:
        now = os.fstat(handle)
        if not stat.S_ISREG(now.st_mode) or now.st_size > LARGEST_BYTES:
            return
        if copy.is_file() and copy.stat().st_mtime_ns == now.st_mtime_ns:
            return
        copy.parent.mkdir(parents=True, exist_ok=True)
        with copy.open("wb") as target:
            shutil.copyfileobj(source, target)
    os.utime(copy, ns=(now.st_atime_ns, now.st_mtime_ns))


def _is_answer(step: dict[str, Any]) -> bool:
    """Some agents write an error of the provider down as a message of a model."""
    is_own = step["source"] == "agent" and step.get("model_name") != "<synthetic>"
    return is_own and bool(step.get("tool_calls") or step.get("message"))


def _begins_like(later: dict[str, Any], earlier: dict[str, Any]) -> bool:
    def first(document: dict[str, Any]) -> list[Any]:
        return [
            [step.get(key) for key in ("source", "message", "timestamp")]
            for step in document["steps"][:2]
        ]

    return bool(earlier["steps"]) and first(later) == first(earlier)


def _usage(kept: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: _total([k["usage"][name] for k in kept]) for name in _USAGE}


def _total(values: list[Any]) -> Any:
    known = [v for v in values if v is not None]
    return sum(known) if known else None
