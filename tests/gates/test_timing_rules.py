"""Cheats and honest oddities against a real baseline: scores and labels."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest
from transformers import AutoTokenizer

from ibench import REPOSITORY
from ibench.gates.bench import Bench
from ibench.gates.counted import Scored
from ibench.gates.verdict import judge_run
from ibench.load.scenario import Server, connect
from ibench.params import Gates, Measure, Scenario
from ibench.params.files import load_yaml
from ibench.records import Outcome, Verdict
from ibench.serving.processes import free_port
from ibench.stages.gpu_check.workload import RequestSampler
from ibench.study.definition import Study
from ibench.workloads import Workload
from tests.factories import evidence
from tests.waiting import until_it_answers

pytestmark = [pytest.mark.slow, pytest.mark.measures]

ODD = Path(__file__).with_name("odd_server.py")
MODEL = "ibench/embedded-mistral"
LENGTHS = {"a": (768, 40), "b": (128, 96), "d": (256, 96)}
REQUESTS = 10


@dataclass
class Odd:
    """A server whose way of answering can be changed, and what it showed."""

    model_dir: Path
    url: str
    study: Study
    numbers: list[int] = field(default_factory=list)
    measured: float = 0.0

    @cached_property
    def baseline(self) -> dict[str, Bench]:
        return {name: self.bench(name, "plain") for name in LENGTHS}

    @cached_property
    def count(self) -> Callable[[str], int]:
        tokenizer: Any = AutoTokenizer.from_pretrained(self.model_dir)
        return lambda text: len(tokenizer.encode(text, add_special_tokens=False))

    @cached_property
    def sampler(self) -> RequestSampler:
        return RequestSampler(self.model_dir, 8)

    def scenario(self, name: str) -> Scenario:
        whole = self.study.scenarios[name]
        phase = whole.phases[0].model_copy(update={"requests": REQUESTS})
        tokens_in, tokens_out = LENGTHS[name]
        lengths = {"input_tokens": tokens_in, "output_tokens": tokens_out}
        return whole.workload.model_copy(update={**lengths, "phases": (phase,)})

    def bench(self, name: str, mode: str) -> Bench:
        """Measure one mode on one scenario."""
        httpx.post(f"{self.url}/mode", content=mode).raise_for_status()
        scenario = self.scenario(name)
        self.numbers.append(len(self.numbers))
        asked: Workload = self.sampler.requests(scenario, 7, 1)
        found = self._server(scenario).measure(
            scenario,
            asked,
            run_name=f"{mode}-{len(self.numbers)}",
            count_tokens=self.count,
        )
        made = evidence(
            phases=found.phases,
            objective=found.objective,
            failure_rate=found.failure_rate,
        )
        return Bench(made, found.results, {})

    def _server(self, scenario: Scenario) -> Server:
        settings: Measure = self.study.profile.measure
        return connect(self.url, [MODEL], self.model_dir, MODEL, scenario, settings)

    def judge(self, name: str, mode: str) -> Verdict:
        bench = self.bench(name, mode)
        self.measured = bench.evidence.objective or 0.0
        return judge_run(
            bench,
            self.baseline[name],
            (),
            load_yaml(Gates, REPOSITORY / "params" / "gates" / "cpu.yaml").model_copy(
                update={"required_checks": ("rules",)}
            ),
            model_id=MODEL,
            model_dir_name="model-dir",
            scored=Scored(self.study.scenarios[name].objective),
        )


@pytest.fixture(scope="module")
def odd(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Odd]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    argv = [sys.executable, "-m", "tests.gates.odd_server"]
    with subprocess.Popen(
        [*argv, str(model_dir), str(port), "float32"], cwd=REPOSITORY
    ) as server:
        try:
            until_it_answers(url)
            study = Study("cpu", REPOSITORY / "params", tmp_path_factory.mktemp("odd"))
            yield Odd(model_dir, url, study)
        finally:
            server.kill()


def gain(verdict: Verdict) -> float:
    assert verdict.objective is not None
    assert verdict.baseline_objective is not None
    return verdict.objective / verdict.baseline_objective


def failed(verdict: Verdict) -> set[str]:
    return {f.rule for f in verdict.findings if f.status == "failed"}


# A gain that shared cores can make of nothing; each cheat claims more.
NOTHING = 1.35


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("b", "hold_all"),
        ("b", "hold_half"),
        ("b", "hold_some"),
        ("b", "hold_bursts"),
        ("d", "hold_all"),
        ("a", "guess_one"),
        ("a", "guess_two"),
        ("a", "guess_eight"),
        ("a", "guess_paced"),
        ("a", "guess_even"),
    ],
)
def test_no_cheat_keeps_its_gain(odd: Odd, name: str, mode: str) -> None:
    # Measured just before, as a pair's is: shared cores change within minutes.
    odd.baseline[name] = odd.bench(name, "plain")
    verdict = odd.judge(name, mode)
    told = [
        f.evidence for f in verdict.findings if f.rule in ("first_chunk", "held_back")
    ]
    assert verdict.outcome is not Outcome.OK or gain(verdict) < NOTHING, told


@pytest.mark.parametrize("mode", ["hold_all", "guess_two", "guess_paced"])
def test_plain_cheats_are_named(odd: Odd, mode: str) -> None:
    name, rule = ("b", "held_back") if mode == "hold_all" else ("a", "first_chunk")
    verdict = odd.judge(name, mode)
    assert verdict.outcome is Outcome.INTEGRITY
    assert failed(verdict) == {rule}


@pytest.mark.parametrize("name", ["a", "b", "d"])
@pytest.mark.parametrize(
    "mode", ["plain", "triples", "drafted", "flushing", "reasoning", "slow_prefill"]
)
def test_honest_servers_keep_what_they_showed(odd: Odd, name: str, mode: str) -> None:
    verdict = odd.judge(name, mode)
    assert verdict.outcome is Outcome.OK, verdict.reason
    assert verdict.objective is not None
    # The baseline was measured minutes ago: on cores that others use, a gain that is
    # none but their noise may be taken off (docs/threat-model.md), never more than it.
    assert verdict.baseline_objective is not None
    least = min(odd.measured, verdict.baseline_objective)
    assert verdict.objective >= 0.95 * least
