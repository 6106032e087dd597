"""What an agent's own process finds in a real session, by content and by path."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from ibench.files import write_atomic
from ibench.methods.agents.stage import session_submission
from ibench.methods.agents.workspace import EVALUATOR_FILES
from ibench.methods.folder import FOLDER
from ibench.params import AgentMethod
from ibench.records import sha256_of
from ibench.serving.sandbox import detect
from tests.methods.agents.study import BASE, made_study, opened

pytestmark = pytest.mark.skipif(detect() != "bwrap", reason="needs bubblewrap")

OTHER_KEY = "sk-of-another-agent-4711-4711-4711"
# The words come reversed: what the script itself holds is not what it looks for.
SCRIPT = """
import json, os, sys
words = [w[::-1].encode() for w in json.loads(sys.argv[1])]
paths = [p[::-1] for p in json.loads(sys.argv[2])]
skip = {"/proc", "/sys", "/dev", "/usr", sys.prefix, sys.base_prefix}
skip.add(os.environ["ENGINES"])
found, read = [], 0
for folder, names, files in os.walk("/"):
    names[:] = [n for n in names if os.path.join(folder, n) not in skip]
    for name in files:
        path = os.path.join(folder, name)
        try:
            with open(path, "rb") as stream:
                data = stream.read(50_000_000)
        except OSError:
            continue
        read += 1
        found += [[path, i] for i, word in enumerate(words) if word in data]
environment = "\\0".join(f"{k}={v}" for k, v in os.environ.items()).encode()
found += [["environment", i] for i, word in enumerate(words) if word in environment]
there = [p for p in paths if os.path.exists(p)]
blocked = []
for name in json.loads(sys.argv[3]):
    for change in (lambda: open(name, "a"), lambda: os.remove(name)):
        try:
            change()
        except OSError:
            blocked.append(name)
report = {"found": found, "read": read, "there": there, "blocked": blocked}
open("report.json", "w").write(json.dumps(report))
"""


def backwards(words: list[str]) -> str:
    return json.dumps([word[::-1] for word in words])


def test_no_answer_seed_baseline_key_or_other_run_is_within_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", OTHER_KEY)
    agent: dict[str, Any] = {
        "name": "walker",
        "description": "Reads every file that it can.",
        "argv": ["true"],
        "network": False,
    }
    study = made_study(tmp_path, agent, budget_s=60.0)
    job = opened(study, "submission")
    scenario, assets = job.scenario.workload, job.assets
    scored = assets.requests(scenario, job.seeds.evaluation, "eval")
    development = assets.requests(scenario, job.seeds.development, "dev")
    # What a baseline and another agent's run leave on this host.
    baseline = study.job(f"{BASE}/baseline").folder / "record.json"
    objective = f"{math.pi * 11:.15f}"
    write_atomic(baseline, json.dumps({"objective": objective}).encode())
    other = study.root / ".work" / "0123456789ab" / "workspace" / "start_server.sh"
    write_atomic(other, (mark := f"launcher {sha256_of('other')}").encode())
    secret = [
        *(r.content_hash for r in scored),
        *(q.content_hash for q in assets.questions("eval")),
        objective,
        mark,
        OTHER_KEY,
        job.seeds.label,
    ]
    shown = development[0].content_hash
    places = [baseline, other, study.params, assets.cache / "workloads"]
    argv = ["python", "-c", SCRIPT, backwards([*secret, shown])]
    argv += [backwards([str(p) for p in places]), json.dumps(list(EVALUATOR_FILES))]
    study = made_study(tmp_path, agent | {"argv": argv}, budget_s=60.0)
    job = opened(study, "submission")
    method = study.method("tried")
    assert isinstance(method, AgentMethod)
    made = session_submission(job, method, job.folder / FOLDER)
    assert made.outcome in ("finished", "no_launcher"), made.warnings
    job.publish(made)
    report = json.loads((job.folder / "workspace" / "report.json").read_text())
    # The walk finds what it may: the development set, in the workspace; and in the
    # library's own text the seed pairs that the paper prints (docs/threat-model.md).
    hits = [h for h in report["found"] if not h[0].startswith("/opt/ibench/")]
    printed = [h for h in report["found"] if h not in hits]
    assert [(Path(p).name, i) for p, i in hits] == [("requests.jsonl", len(secret))]
    assert {i for _, i in printed} <= {secret.index(job.seeds.label)}
    assert report["there"] == []
    assert report["read"] > 100
    assert report["blocked"] == [n for n in EVALUATOR_FILES for _ in range(2)]
    assert made.evaluator_changed == {}
