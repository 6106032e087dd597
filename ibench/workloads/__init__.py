"""What is sent? Documents, request sets, questions, base models and their sources.

Nothing here opens a connection to a server or knows a study.
"""

from ibench.workloads.documents import (
    Document,
    corpus_hash,
    longbench_documents,
    stdlib_documents,
)
from ibench.workloads.embedded_model import ensure_model
from ibench.workloads.questions import embedded_questions, mmlu_pro_questions
from ibench.workloads.sampling import WorkloadSpec, sample_requests
from ibench.workloads.sets import (
    Workload,
    read_questions,
    read_requests,
    set_hash,
    write_questions,
    write_requests,
)
from ibench.workloads.tokens import ChatTokenizer
from ibench.workloads.upstream import write_upstream_requests

__all__ = [
    "ChatTokenizer", "Document", "Workload", "WorkloadSpec", "corpus_hash",
    "embedded_questions", "ensure_model", "longbench_documents", "mmlu_pro_questions",
    "read_questions", "read_requests", "sample_requests", "set_hash",
    "stdlib_documents", "write_questions", "write_requests", "write_upstream_requests",
]  # fmt: skip
