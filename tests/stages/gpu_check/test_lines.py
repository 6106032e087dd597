"""The table: what a reviewer reads."""

from __future__ import annotations

import re

from ibench.stages.gpu_check.lines import check_parts
from ibench.stages.gpu_check.record import CheckRecord, Finding
from ibench.terminal import plain
from tests.stages.gpu_check.made import made_record


def _text(record: CheckRecord) -> str:
    return "\n".join(plain(*check_parts(record)))


def _failed(found: Finding) -> Finding:
    update = {"outcome": "failed", "reason": "server exited", "phases": ()}
    gone = {"objective": None, "objective_bound": None, "ready_s": None}
    return found.model_copy(update=update | gone)


def test_the_tables_fit_and_are_plain() -> None:
    lines = _text(made_record()).splitlines()
    assert max(len(line) for line in lines if "  reference  " in line) <= 100
    assert [line for line in lines if line != line.rstrip() or not line.isascii()] == []


def test_measured_paper_and_roofline_stand_below_each_other() -> None:
    lines = _text(made_record()).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("A  TTFT p50"))
    paper, reference, roofline = (line.split() for line in lines[at : at + 3])
    assert paper[-4:] == ["PyTorch", "baseline,", "H100", "840"]
    assert reference == ["reference", "840", "1.00", "14"]
    assert roofline[:3] == ["its", "roofline", "118.5"]


def test_twice_the_time_is_half_of_the_roofline() -> None:
    rows = [line for line in _text(made_record()).splitlines() if "64/64" in line]
    (row,) = rows
    assert re.findall(r"\b50\b", row) == ["50"] * 3


def test_the_published_rate_is_explained() -> None:
    text = " ".join(_text(made_record()).split())
    assert "answers of 922 tokens take 38 s each, 0.026 req/s" in text
    assert "the published 0.132 means answers of about 185 tokens" in text


def test_energy_and_memory_are_told() -> None:
    text = " ".join(_text(made_record()).split())
    assert (
        "ready in 20.0 s; GPU memory at most 17000 MiB; joules a token A 5, B 5" in text
    )


def test_a_failure_and_an_invalid_phase_are_told_with_their_reason() -> None:
    record = made_record()
    record = record.with_finding(_failed(record.findings[0]))
    late = record.findings[0]
    phase = late.phases[0].model_copy(update={"invalid": ("send lag p99 is 1 s",)})
    record = record.with_finding(late.model_copy(update={"phases": (phase,)}))
    text = _text(record)
    assert "FAILED reference, scenario A: server exited" in text
    assert "INVALID reference, B burst: send lag p99 is 1 s" in text


def test_without_a_datasheet_there_is_no_roofline() -> None:
    text = _text(made_record(with_card=False))
    assert "its roofline" not in text
    assert "reference" in text
    assert "PyTorch baseline, H100" in text


def test_scaled_lengths_are_said_to_be_scaled() -> None:
    record = made_record()
    shape = record.shape.model_copy(update={"tokens_divisor": 64})
    text = _text(record.model_copy(update={"shape": shape}))
    assert "lengths divided by 64" in text
    assert "0.026 req/s" not in text
