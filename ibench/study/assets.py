"""Model, request sets and questions of a study, made once and cached by content."""

from __future__ import annotations

import platform
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from ibench.files import replacing
from ibench.params import Scenario
from ibench.records import Question, RequestSpec, sha256_of
from ibench.study.definition import Study
from ibench.workloads import (
    ChatTokenizer,
    Document,
    WorkloadSpec,
    embedded_questions,
    ensure_model,
    longbench_documents,
    mmlu_pro_questions,
    read_questions,
    read_requests,
    sample_requests,
    stdlib_documents,
    write_questions,
    write_requests,
)
from ibench.workloads.hub.lock import locked_place, read_lock
from ibench.workloads.hub.snapshot import Snapshot, check_snapshot
from ibench.workloads.hub.sources import (
    Source,
    document_source,
    model_source,
    question_source,
)
from ibench.workloads.sampling import Split

__all__ = ["Assets"]

_RULE = 2  # of sampling: a set that was drawn by an earlier one is drawn anew


class Assets:
    """Everything a stage needs beside its parameters; no network is ever asked.

    What comes from a hub is there since ``make data``, or asking for it raises
    ``OfflineError`` with that remedy.

    Args:
        study: the loaded profile.
        cache: folder of models, data and request sets, shared by profiles.
    """

    def __init__(self, study: Study, cache: Path) -> None:
        """Nothing is made before it is asked for."""
        self.study, self.cache = study, cache
        self._counts: dict[str, int] = {}

    @cached_property
    def model_dir(self) -> Path:
        """Folder of the base model: fetched, or trained here on first use."""
        source = model_source(self.study.model, self.study.profile.model)
        return (
            ensure_model(self.cache / "models") if source is None else self._at(source)
        )

    def checked_model(self) -> Snapshot:
        """Every file of the base model, after a look whether it is what it was.

        Raises:
            OfflineError: it was not fetched.
            DataError: a file was changed since it was fetched, or made here.
        """
        folder = self.model_dir
        source = model_source(self.study.model, self.study.profile.model)
        locked = None
        if source is not None:
            files = read_lock(self.study.params).sources[source.key]
            locked = {name: entry.sha256 for name, entry in files.items()}
        return check_snapshot(folder, locked)

    def _at(self, source: Source) -> Path:
        name = self.study.profile.name
        return locked_place(source, self.cache, self.study.params, name)

    @cached_property
    def tokenizer(self) -> ChatTokenizer:
        """The base model's tokenizer; all token counts come from it."""
        return ChatTokenizer(self.model_dir)

    @cached_property
    def documents(self) -> tuple[Document, ...]:
        """The document source of the profile."""
        source = document_source(self.study.profile)
        if source is None:
            return stdlib_documents()
        return longbench_documents(self._at(source), self.cache / "datasets")

    def requests(
        self,
        scenario: Scenario,
        seed: int,
        split: Split,
        n: int | None = None,
    ) -> tuple[RequestSpec, ...]:
        """Request set of a scenario: ``dev``, ``eval`` or ``warmup``."""
        return read_requests(self.request_file(scenario, seed, split, n))

    def request_file(
        self, scenario: Scenario, seed: int, split: Split, n: int | None = None
    ) -> Path:
        """Cached file of a request set, sampled on first use."""
        replay = self.study.profile.measure.replay_phases
        spec = WorkloadSpec(
            seed=seed,
            input_tokens=scenario.input_tokens,
            output_tokens=scenario.output_tokens,
            range_ratio=scenario.range_ratio,
            requests=n or scenario.starts(replay=replay)[-1],
            temperature=scenario.temperature,
            ignore_eos=scenario.ignore_eos,
            max_model_len=scenario.max_model_tokens,
            compat=self.study.profile.compat,
        )
        rule = {"rule": _RULE} if spec.compat == "ibench" else {}
        key: dict[str, Any] = {"spec": spec.model_dump(mode="json"), "split": split}
        key |= rule | self._source
        path = self.cache / "workloads" / f"{sha256_of(key)}.jsonl"
        if not path.exists():
            made = sample_requests(
                spec, self.documents, self.tokenizer, split, self._counts
            )
            with replacing(path) as side:
                write_requests(side, made)
        return path

    @property
    def _source(self) -> dict[str, str]:
        profile = self.study.profile
        return {
            "documents": f"{profile.documents}@{profile.documents_revision}",
            "python": platform.python_version(),
            "model": f"{self.model_dir.name}@{self.study.model.revision}",
        }

    def questions(self, split: Literal["dev", "eval"]) -> tuple[Question, ...]:
        """Quality questions: the scored ones (``eval``) or the agents' (``dev``)."""
        spec = self.study.profile.questions
        source = question_source(self.study.profile)
        if source is None:
            n = spec.n if split == "eval" else spec.development_n
            return embedded_questions(split, n, spec.seed)
        key = {"questions": spec.model_dump(mode="json"), "rule": 2, "split": split}
        path = self.cache / "workloads" / f"{sha256_of(key)}.jsonl"
        if not path.exists():
            scored, development = mmlu_pro_questions(
                self._at(source),
                spec.n,
                spec.development_n,
                spec.seed,
                self.cache / "datasets",
            )
            made = scored if split == "eval" else development
            with replacing(path) as side:
                write_questions(side, made)
        return read_questions(path)
