"""Gates: quality against the baseline, integrity rules, the judge."""

from ibench.gates.integrity import RULES, judge_rules
from ibench.gates.judge import ask_judge
from ibench.gates.quality import extract_answer, quality_verdict

__all__ = [
    "RULES",
    "ask_judge",
    "extract_answer",
    "judge_rules",
    "quality_verdict",
]
