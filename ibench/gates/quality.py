"""Quality gate: letters from texts, accuracy against the baseline's, paired."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from ibench.errors import MetricUndefinedError
from ibench.records import QualityVerdict

__all__ = ["extract_answer", "paired_interval", "quality_verdict"]

_LETTERS = "ABCDEFGHIJ"
_Z95 = 1.959963984540054  # 97.5 % point of the normal distribution


def extract_answer(text: str, options: int) -> str | None:
    """Read the chosen letter from an answer; the first level that matches wins.

    1. An explicit form: "answer is X", "answer: X", "option X is correct"; the last
       one in the text, because a correction follows what it corrects.
    2. A letter at the start that stands alone or before ``) . : , -``.
    3. The last letter that stands alone; "I" and the article "A" need a bracket, a
       full stop or the end of the line behind them, unlike in prose.

    Letters are capitals at word boundaries, so that "The answer is definitely ..." is
    no D and "I think the cat sat on a mat" no A (reference section 18, number 12).

    Args:
        text: the generated text.
        options: number of letters on offer, from A.

    Returns:
        The letter, or None if the text names none.
    """
    letter = f"[{_LETTERS[:options]}]"
    # Brackets and bold marks before a letter; "I" before a verb is a pronoun.
    bare = rf"[\s*(\[]*({letter})\b(?!['\u2019])(?!(?<=I)\s+(?!because|since)[a-z])"
    explicit = (
        rf"\b(?:[Aa]nswer|ANSWER|[Oo]ption|[Cc]hoice)(?:\s+is|\s*[:=-])"
        rf"(?:\s*:)?(?:\s+(?:option|choice|letter))?{bare}"
        rf"|\b(?:[Oo]ption|[Cc]hoice)\s+{bare}\s+is\s+(?:correct|right)\b"
    )
    leading = rf"{bare}(?=\s*$|\s*\n|[*\])]*\s*(?:[):,\]]|\.(?!\w)|-\s))"
    isolated = rf"(?<![\w'\u2019-])[(*\[]*({letter})\b(?![\w'\u2019-])"
    if matches := list(re.finditer(explicit, text)):
        return next(group for group in matches[-1].groups() if group)
    if match := re.match(leading, text):
        return match[1]
    alone = [m[1] for m in re.finditer(isolated, text) if _is_answer(m, text)]
    return alone[-1] if alone else None


def quality_verdict(
    answers: Mapping[str, str | None],
    baseline_answers: Mapping[str, str | None],
    gold: Mapping[str, tuple[str, int]],
    tau: float,
) -> QualityVerdict:
    """Judge answers: pass if ``correct >= tau * baseline_correct``.

    Failed requests and texts without a letter are wrong and stay in the denominator.
    The exact McNemar test gives the two-sided p-value of the questions only one side
    got right; ``paired_interval`` the interval. Both inform, neither decides.

    Args:
        answers: text by question id; None, or no entry, for a failed request.
        baseline_answers: the same of the baseline, with an entry for every question.
        gold: gold letter and number of options by question id.
        tau: share of the baseline's correct answers to reach, 0..1.

    Raises:
        MetricUndefinedError: no questions, or a baseline that is missing, incomplete
            or never right: a missing baseline is not a passed gate.
    """
    if not gold:
        raise MetricUndefinedError("quality of no questions")
    if missing := gold.keys() - baseline_answers.keys():
        raise MetricUndefinedError(
            f"quality: the baseline lacks {len(missing)} of {len(gold)} questions"
        )
    letters, baseline_letters = (
        _letters(answers, gold),
        _letters(baseline_answers, gold),
    )
    run = {i for i, (letter, _) in gold.items() if letters[i] == letter}
    baseline = {i for i, (letter, _) in gold.items() if baseline_letters[i] == letter}
    if not baseline:
        raise MetricUndefinedError("quality: the baseline answered nothing correctly")
    only_run, only_baseline = len(run - baseline), len(baseline - run)
    low, high = paired_interval(only_run, only_baseline, len(gold))
    failed = sum(answers.get(i) is None for i in gold)
    return QualityVerdict(
        n=len(gold),
        correct=len(run),
        unparsed=sum(letter is None for letter in letters.values()) - failed,
        failed=failed,
        baseline_correct=len(baseline),
        ratio=len(run) / len(baseline),
        tau=tau,
        # The slack absorbs the rounding of the product (0.07 * 100 is above 7).
        passed=len(run) >= tau * len(baseline) - 1e-9,
        only_baseline_correct=only_baseline,
        only_run_correct=only_run,
        mcnemar_p=_mcnemar_p(only_run, only_baseline),
        difference=(len(run) - len(baseline)) / len(gold),
        difference_low=low,
        difference_high=high,
    )


def paired_interval(only_run: int, only_baseline: int, n: int) -> tuple[float, float]:
    """95 % interval of the paired accuracy difference, run minus baseline.

    Agresti and Min (2005): Wald with half a count added to each cell. ``N = n + 2``,
    ``d = (b - c) / N``, ``d +- 1.96 sqrt((b + c) - (b - c)^2 / N) / N``, clipped to
    [-1, 1]; ``b`` and ``c`` are the discordant cells with their half counts.

    Raises:
        MetricUndefinedError: there are no pairs.
    """
    if n == 0:
        raise MetricUndefinedError("interval of no pairs")
    b, c, total = only_run + 0.5, only_baseline + 0.5, n + 2
    centre = (b - c) / total
    half = _Z95 * math.sqrt((b + c) - (b - c) ** 2 / total) / total
    return max(-1.0, centre - half), min(1.0, centre + half)


def _letters(
    texts: Mapping[str, str | None], gold: Mapping[str, tuple[str, int]]
) -> dict[str, str | None]:
    letters: dict[str, str | None] = {}
    for question_id, (_, options) in gold.items():
        text = texts.get(question_id)
        letters[question_id] = None if text is None else extract_answer(text, options)
    return letters


def _is_answer(match: re.Match[str], text: str) -> bool:
    """Tell the letter from the pronoun "I" and the article "A"."""
    if match[1] not in "AI" or match[0].startswith(("(", "[", "*")):
        return True
    return bool(re.match(r"\s*(?:[).:]|\n|$)", text[match.end() :]))


def _mcnemar_p(only_run: int, only_baseline: int) -> float:
    # statsmodels takes a second to import; only judging needs it.
    from statsmodels.stats.contingency_tables import mcnemar  # noqa: PLC0415

    if only_run + only_baseline == 0:
        return 1.0  # no discordant pair: nothing speaks against equality
    # The exact test reads the discordant cells alone.
    table = [[0, only_baseline], [only_run, 0]]
    return float(mcnemar(table, exact=True).pvalue)
