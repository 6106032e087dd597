from __future__ import annotations

import itertools

import pytest
from scipy import stats

from ibench.errors import MetricUndefinedError
from ibench.gates.quality import extract_answer, paired_interval, quality_verdict
from ibench.records import Question
from tests.factories import questions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("C", "C"),
        ("C\n", "C"),
        (" (C) because of the drawer", "C"),
        ("C. the red one", "C"),
        ("**C**", "C"),
        ("The answer is C.", "C"),
        ("The answer is (C).", "C"),
        ("Answer: C", "C"),
        ("answer - C", "C"),
        ("I first thought B. The answer is C", "C"),
        ("It is B or maybe D, so option D.", "D"),
        ("After some thought I would pick (F)", "F"),
        ("The answer is definitely not known", None),
        ("I think the cat sat on a mat", None),
        ("A cat sat on a mat", None),
        ("", None),
        ("none of them", None),
        ("I don't know", None),
        ("BANANA", None),
    ],
)
def test_extraction(text: str, expected: str | None) -> None:
    assert extract_answer(text, 10) == expected


def test_letters_beyond_the_options_are_no_answer() -> None:
    assert extract_answer("The answer is J", 4) is None
    assert extract_answer("J", 10) == "J"


def gold_of(asked: tuple[Question, ...]) -> dict[str, tuple[str, int]]:
    return {q.question_id: (q.gold, q.options) for q in asked}


GOLD = "ABCDEFGHIJ" * 10


def verdict(right: int, base_right: int, tau: float = 0.95):  # type: ignore[no-untyped-def]
    asked = questions(GOLD)
    wrong = {"A": "B"}

    def answers(n: int) -> dict[str, str | None]:
        return {
            q.question_id: q.gold if i < n else wrong.get(q.gold, "A")
            for i, q in enumerate(asked)
        }

    return quality_verdict(answers(right), answers(base_right), gold_of(asked), tau)


@pytest.mark.parametrize(
    ("right", "passed"), [(80, True), (76, True), (75, False), (0, False), (100, True)]
)
def test_pass_at_tau_times_the_baselines_correct_answers(
    right: int, passed: bool
) -> None:
    result = verdict(right, 80)
    assert result.passed is passed
    assert result.ratio == pytest.approx(right / 80)


def test_pairs_and_exact_p_value() -> None:
    result = verdict(70, 80)
    assert (result.only_baseline_correct, result.only_run_correct) == (10, 0)
    expected = 2 * stats.binom.cdf(0, 10, 0.5)
    assert result.mcnemar_p == pytest.approx(expected)
    assert result.difference == pytest.approx(-0.10)
    assert result.difference_low < -0.10 < result.difference_high < 0


def test_equal_answers_have_p_one_and_an_interval_round_zero() -> None:
    result = verdict(80, 80)
    assert result.mcnemar_p == 1.0
    assert result.difference_low < 0 < result.difference_high


def test_failed_and_unparsed_answers_are_wrong_and_counted_apart() -> None:
    asked = questions("AAAA")
    base: dict[str, str | None] = {q.question_id: "A" for q in asked}
    run: dict[str, str | None] = {"q0": "A", "q1": None, "q2": "no idea"}
    result = quality_verdict(run, base, gold_of(asked), 0.95)
    assert (result.correct, result.failed, result.unparsed) == (1, 2, 1)
    assert not result.passed


def test_a_baseline_without_a_correct_answer_is_no_gate() -> None:
    with pytest.raises(MetricUndefinedError):
        verdict(5, 0)


def test_the_paired_interval_covers_as_often_as_it_claims() -> None:
    """Exact coverage over all outcomes of n = 30 pairs with given discordance."""
    n, p_run, p_base = 30, 0.06, 0.14
    true = p_run - p_base
    covered = 0.0
    for b, c in itertools.product(range(n + 1), repeat=2):
        if b + c <= n:
            low, high = paired_interval(b, c, n)
            rest = n - b - c
            mass = stats.multinomial.pmf(
                [b, c, rest], n, [p_run, p_base, 1 - p_run - p_base]
            )
            covered += mass * (low <= true <= high)
    assert 0.93 <= covered <= 0.99
