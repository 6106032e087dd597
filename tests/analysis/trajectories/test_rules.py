"""Every rule's examples, the labelled sample, and golden episodes."""

from __future__ import annotations

import doctest
import importlib
import json
import pkgutil
from pathlib import Path

import pytest

import ibench.analysis.trajectories
from ibench import REPOSITORY
from ibench.analysis.trajectories.events import FAMILIES, Event
from ibench.analysis.trajectories.facts import FAILURE_MODES, facts_of_walk
from ibench.analysis.trajectories.launches import config_of, launches_in
from ibench.analysis.trajectories.measurements import numbers_in, objective_in
from ibench.analysis.trajectories.techniques import FLAG_FAMILIES, TECHNIQUES, mentioned
from tests.analysis.trajectories import sample
from tests.analysis.trajectories.made import labelled_runs
from tests.analysis.trajectories.rule_examples import RULES, TECHNIQUE_EXAMPLES, Rule

DOCS = REPOSITORY / "docs" / "trajectories.md"
MODULES = [m.name for m in pkgutil.iter_modules(ibench.analysis.trajectories.__path__)]
REAL = Path(__file__).parent / "real"
OUTPUT = {"error", "measurement"}


def event(text: str, rule: Rule) -> Event:
    is_output = rule.name in OUTPUT
    return Event(
        run_id="r",
        index=0,
        t_s=None,
        kind="tool_result" if is_output else "tool_call",
        source="tool" if is_output else "agent",
        tool="bash",
        text=text,
        length=len(text),
    )


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_a_rule_keeps_its_examples(rule: Rule) -> None:
    assert rule.definition
    assert [x for x in rule.yes if not rule.applies(event(x, rule))] == []
    assert [x for x in rule.no if rule.applies(event(x, rule))] == []


@pytest.mark.parametrize("name", [t.name for t in TECHNIQUES])
def test_a_technique_keeps_its_examples(name: str) -> None:
    yes, no = TECHNIQUE_EXAMPLES[name]
    assert [x for x in yes if name not in dict(mentioned(x))] == []
    assert [x for x in no if name in dict(mentioned(x))] == []


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_the_text_of_modules(name: str) -> None:
    module = importlib.import_module(f"ibench.analysis.trajectories.{name}")
    assert doctest.testmod(module).failed == 0


def test_every_flag_belongs_to_a_family() -> None:
    assert set(FLAG_FAMILIES.values()) <= set(FAMILIES)


def test_the_sample_is_large_and_has_hard_negatives() -> None:
    rows = [row for _, of_run in sample.runs() for row in of_run]
    assert len(rows) >= 60
    assert sum(not row["labels"] for row in rows) >= 30


def test_the_real_runs_of_the_sample_are_what_the_reader_gives() -> None:
    problems: list[str] = []
    read = {r.run.run_id: r for r in labelled_runs(REAL, problems)}
    assert problems == []
    labelled = {head["run"]: (head, rows) for head, rows in sample.runs("real")}
    assert read.keys() == labelled.keys()
    assert sum(len(rows) for _, rows in labelled.values()) >= 20
    for name, (head, rows) in labelled.items():
        run, events = read[name].run, read[name].events
        assert head["meta"] == {key: getattr(run, key) for key in head["meta"]}
        assert [(e.kind, e.source, e.tool, e.text, e.exit_code) for e in events] == [
            (r["kind"], r["source"], r["tool"], r["text"], r.get("exit_code"))
            for r in rows
        ]


# Measured, not hoped for: (precision, recall), rounded down, of runs that rules were
# adjusted on ("seen") and of those they were not. A rule that gets better may raise its
# line; one that gets worse has to say why.
FLOORS: dict[str, dict[str, tuple[float, float]]] = json.loads(
    (Path(__file__).with_name("floors.json")).read_text()
)
PARTS = {"seen": ("tuned", "adjusted"), "unseen": ("held-out", "real")}


@pytest.mark.parametrize("seen", PARTS)
def test_precision_and_recall_of_each_rule(seen: str) -> None:
    scores, floors = sample.scores(*PARTS[seen]), FLOORS[seen]
    worse = []
    for name, (precision, recall) in floors.items():
        score = scores[name]
        if (score.precision or 0) < precision or (score.recall or 0) < recall:
            worse.append((name, score, score.precision, score.recall))
    assert worse == []
    assert set(scores) == set(floors)


@pytest.mark.parametrize(
    ("head", "rows"), list(sample.runs("tuned")), ids=lambda x: str(x)[9:11]
)
def test_facts_of_the_tuned_runs(head: dict[str, object], rows: list[object]) -> None:
    walk = sample.walk_of(head, rows)
    facts = facts_of_walk(walk.run, walk)
    expected = head["facts"]
    assert isinstance(expected, dict)
    best = facts.best_seen.value if facts.best_seen else None
    found = {
        "launches": facts.launches.n,
        "relaunches_unchanged": facts.relaunches_unchanged.n,
        "distinct_configs": facts.distinct_configs.n,
        "evaluations": facts.evaluations.n,
        "engine_shipped": facts.engine_shipped,
        "shipped_measured": facts.shipped_measured,
        "best_seen": None if best is None else round(best, 2),
        "failure_modes": sorted(facts.failure_modes),
        "outcome": facts.outcome,
    }
    assert found == expected | {"failure_modes": sorted(expected["failure_modes"])}
    assert set(facts.failure_modes) <= set(FAILURE_MODES)


def test_golden_episodes() -> None:
    head, rows = next(sample.runs("tuned"))
    walk = sample.walk_of(head, rows)
    episodes = importlib.import_module("ibench.analysis.trajectories.episodes")
    found = episodes.episodes_of_walk(walk.run, walk)
    assert [(e.family, e.first, e.last) for e in found] == [
        ("inspecting", 0, 5),
        ("installing", 6, 8),
        ("launching", 9, 12),
        ("evaluating", 13, 14),
        ("speculative_decoding", 15, 17),
        ("monitoring", 18, 19),
        ("evaluating", 20, 21),
        ("finalising", 22, 24),
    ]
    tuned = found[4]
    assert (tuned.tier, tuned.engine, tuned.had_launch) == (
        "optimization",
        "vllm",
        True,
    )
    assert tuned.evidence[0] == "changes --speculative-config"
    assert found[6].score == pytest.approx(1 / 0.0079)


def test_configurations() -> None:
    text = "VLLM_USE_V1=1 VLLM_LOGGING_LEVEL=INFO vllm serve m --dtype auto --port 1"
    assert launches_in(text)[0].signature == "vllm --vllm-use-v1=1"
    python = "import subprocess\nsubprocess.run(['vllm', 'serve', 'm', '--seed', '1'])"
    listed = config_of(python)
    assert listed is not None
    assert listed.signature == "vllm --seed=1"
    assert config_of("#!/bin/bash\npython my_server.py\n") is not None
    assert config_of("# vllm serve would be better\nexit 2") is None


@pytest.mark.parametrize(
    ("text", "signatures"),
    [
        ("ssh -p 22 -A node 'cd /w && vllm serve m --seed 1'", ["vllm --seed=1"]),
        ("ssh node", []),
        ("docker exec -it -e A=1 srv sh -c 'vllm serve m'", ["vllm"]),
        ("docker exec -it srv bash", []),
        ("docker ps; podman exec srv cat 'vllm serve'", []),
        ("bash -s <<'E'\nvllm serve m --seed 1\nE", ["vllm --seed=1"]),
        ("python3 - <<E\nimport os\nos.system('vllm serve m')\nE", ["vllm"]),
        ("python3 - <<E\nprint('use vllm serve m')\nE", []),
        ("cat <<E\nsubprocess.run(['vllm', 'serve', 'm'])\nE", []),
        ("python <<A\nPopen\n" * 2000, []),
    ],
)
def test_servers_started_elsewhere(text: str, signatures: list[str]) -> None:
    assert [c.signature for c in launches_in(text)] == signatures


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ttft_p50_ms: 12.5", [("ttft_s", 0.0125)]),
        ('"tpot": {"p50": 0.0121}', [("tpot_s", 0.0121)]),
        ("TTFT p99 80 ms", []),
        ("the TTFT of 12 requests", []),
        ("253 tok/s and 1.5 req/s", [("rate_per_s", 1.5), ("token_rate_per_s", 253)]),
        ("python /srv/app/server.py", []),
        ('"accuracy": null', []),
    ],
)
def test_numbers(text: str, expected: list[tuple[str, float]]) -> None:
    found = [(name, round(value, 9)) for name, value in numbers_in(text)]
    assert found == expected


def test_objective_needs_all_its_parts() -> None:
    burst = '"burst": {"request_throughput_req_per_s": 2.0}'
    assert objective_in(burst, "C") is None
    whole = (
        burst + burst.replace("burst", "poisson") + burst.replace("burst", "constant")
    )
    assert objective_in(whole, "C") == pytest.approx(2)
    assert objective_in('{"objective": null}', "A") is None


def test_the_documentation_names_every_rule_and_family() -> None:
    text = DOCS.read_text()
    names = [r.name for r in RULES] + [r.name for r in TECHNIQUES]
    names += [*FAILURE_MODES, *FAMILIES]
    assert [n for n in names if f"`{n}`" not in text] == []
