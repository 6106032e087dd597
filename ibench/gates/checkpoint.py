"""Which checkpoint serves: what processes opened and were told, then the launcher."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ibench.gates.seen import RunSeen, finding
from ibench.records import Finding

__all__ = ["launcher_checkpoint"]

_ID = r"['\"]?([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(?:@[\w.-]+)?)(?=['\"\s,;)\\}]|$)"
_NAMED = re.compile(
    r"(?:--(?:model|tokenizer)(?:[-_](?:path|id))?[\s=]+|from_pretrained\(\s*"
    r"|\bmodel(?:_path|_id|_dir|_name_or_path)?\s*=\s*"
    r"|\b(?:(?:vllm|sglang)\s+serve|trtllm-serve(?:\s+serve)?)\s+)" + _ID,
    re.IGNORECASE,
)
_FETCHED = re.compile(
    r"(?:\b(?:huggingface-cli|hf)\s+download\s+|\bsnapshot_download\(\s*"
    r"(?:repo_id\s*=\s*)?|\bhttps?://huggingface\.co/)" + _ID,
    re.IGNORECASE,
)
_DRAFT = re.compile(
    r"(?:--(?:speculative|spec|draft)[\w-]*(?:model|path)[\w-]*[\s=]+"
    r"|--(?:speculative|spec)[\w-]*config[\s=]+['\"]?\{[^}]*['\"]model['\"]\s*:\s*)"
    + _ID,
    re.IGNORECASE,
)
_COMMENT = re.compile(r"(?m)(?:^|(?<=\s))#.*$")
_SET = re.compile(r"(?m)^\s*(?:export\s+)?([A-Za-z_]\w*)=['\"]?([^'\"\s;]+)")
_USED = re.compile(r"\$\{(\w+)(?::[-=]([^}]*))?\}|\$(\w+)")
_GIVEN = {"MODEL_PATH", "MODEL_ID", "HOST", "PORT"}  # the harness sets them


def launcher_checkpoint(s: RunSeen) -> Finding:
    """A checkpoint of a hub that is not the base model's.

    Decided by the running server where it was looked at: models in the hub cache that
    its processes use, and hub ids on their command lines that are no folder of theirs
    (own quantised copies are allowed under any name). A launcher that fetches another
    model breaks the rule in any case; what else it names counts only where no process
    was seen, without comments and with its variables filled in. A draft model that an
    option for drafts names is no checkpoint: the base model checks its tokens.
    """
    evidence = s.evidence
    script = _plain(evidence.launcher)
    if not evidence.processes and not script.strip():
        return finding("launcher_checkpoint", None, "no process and no launcher text")
    commands = "\n".join(evidence.processes)
    entries = [entry.partition(" ") for entry in evidence.opened]
    own = {what for kind, _, what in entries if kind == "local"}
    drafts = _ids(_DRAFT, f"{commands}\n{script}")
    # The whole id counts: somebody's upload under the same name is another model.
    fine = {s.model_id, s.model_dir_name, *own, *drafts}
    found = {
        "in the hub cache": {what for kind, _, what in entries if kind == "hub"},
        "on command lines": _ids(_NAMED, _DRAFT.sub(" ", commands)),
        "fetched": _ids(_FETCHED, script),
    }
    if not evidence.processes:
        found["in the launcher"] = _ids(_NAMED, _DRAFT.sub(" ", script))
    other = {where: sorted(_not_in(ids, fine)) for where, ids in found.items()}
    told = [f"{where}: {ids}" for where, ids in other.items() if ids]
    text = f"other checkpoints {'; '.join(told)}" if told else "no other hub id"
    return finding("launcher_checkpoint", not told, text)


def _ids(pattern: re.Pattern[str], text: str) -> set[str]:
    return {match[1].split("@")[0] for match in pattern.finditer(text)}


def _not_in(ids: set[str], fine: Iterable[str]) -> set[str]:
    known = {name.lower() for name in fine}
    return {name for name in ids if name.lower() not in known}


def _plain(script: str) -> str:
    """A shell script on whole lines, without comments, its own variables filled in."""
    text = _COMMENT.sub("", script).replace("\\\n", " ")
    values = {n: v for n, v in _SET.findall(text) if n not in _GIVEN}

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[3]
        if name in _GIVEN:
            return match[0]
        return values.get(name) or match[2] or match[0]

    for _ in range(3):  # one variable may name another
        text = _USED.sub(value, text)
    return text
