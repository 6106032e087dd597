"""What is judged? Quality against the baseline, integrity rules, the judge's answer.

Pure judgement over evidence: nothing here launches or measures.
"""

from ibench.gates.integrity import RULES, Seen, judge_rules
from ibench.gates.judge import ask_judge
from ibench.gates.quality import extract_answer, quality_verdict

__all__ = [
    "RULES",
    "Seen",
    "ask_judge",
    "extract_answer",
    "judge_rules",
    "quality_verdict",
]
