"""Model, request sets and questions of a study, made once and cached by content."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Literal

from ibench.errors import OfflineError
from ibench.params import ModelSpec, Scenario
from ibench.records import Question, RequestSpec, sha256_of
from ibench.study import Study
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

__all__ = ["Assets", "fetch_model"]


def fetch_model(spec: ModelSpec, cache: Path) -> Path:
    """Return the folder of the base model: trained here, or a pinned snapshot.

    Raises:
        OfflineError: the hub cannot be reached and nothing is cached.
    """
    if spec.kind == "embedded":
        return ensure_model(cache / "models")
    from huggingface_hub import snapshot_download  # noqa: PLC0415 (slow import)
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError  # noqa: PLC0415
    from huggingface_hub.utils import logging as hub_logging  # noqa: PLC0415

    hub_logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # its retries are not the user's to read
    try:
        return Path(snapshot_download(str(spec.repository), revision=spec.revision))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise OfflineError(
            f"{spec.repository}@{spec.revision}: not reachable and not cached "
            f"({type(error).__name__}): fetch it with network access and a token that "
            "may read it"
        ) from error


class Assets:
    """Everything a stage needs beside its parameters.

    Args:
        study: the loaded profile.
        cache: folder of models and request sets, shared by profiles.
    """

    def __init__(self, study: Study, cache: Path) -> None:
        """Nothing is made before it is asked for."""
        self.study, self.cache = study, cache

    @cached_property
    def model_dir(self) -> Path:
        """Folder of the base model."""
        return fetch_model(self.study.model, self.cache)

    @cached_property
    def tokenizer(self) -> ChatTokenizer:
        """The base model's tokenizer; all token counts come from it."""
        return ChatTokenizer(self.model_dir)

    @cached_property
    def documents(self) -> tuple[Document, ...]:
        """The document source of the profile."""
        profile = self.study.profile
        if profile.documents == "stdlib":
            return stdlib_documents()
        return longbench_documents(str(profile.documents_revision))

    def requests(
        self,
        scenario: Scenario,
        seed: int,
        split: Literal["dev", "eval", "warmup"],
        n: int | None = None,
    ) -> tuple[RequestSpec, ...]:
        """Request set of a scenario: ``dev``, ``eval`` or ``warmup``."""
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
        key = {"spec": spec.model_dump(mode="json"), "split": split, **self._source}
        path = self.cache / "workloads" / f"{sha256_of(key)}.jsonl"
        if not path.exists():
            made = sample_requests(spec, self.documents, self.tokenizer, split)
            _publish(path, lambda side: write_requests(side, made))
        return read_requests(path)

    @property
    def _source(self) -> dict[str, str]:
        profile = self.study.profile
        return {
            "documents": f"{profile.documents}@{profile.documents_revision}",
            "python": platform.python_version(),
            "model": self.model_dir.name,
        }

    def questions(self, split: Literal["dev", "eval"]) -> tuple[Question, ...]:
        """Quality questions: the scored ones (``eval``) or the agents' (``dev``)."""
        spec = self.study.profile.questions
        n = spec.n if split == "eval" else spec.development_n
        if spec.source == "embedded":
            return embedded_questions(split, n, spec.seed)
        key = {"questions": spec.model_dump(mode="json")}
        path = self.cache / "workloads" / f"{sha256_of(key)}.jsonl"
        if not path.exists():
            # One draw cut in two: the sets are disjoint and the first n are the
            # published ones.
            made = mmlu_pro_questions(
                str(spec.revision), spec.n + spec.development_n, spec.seed
            )
            _publish(path, lambda side: write_questions(side, made))
        both = read_questions(path)
        return both[: spec.n] if split == "eval" else both[spec.n :]


def _publish(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside, then rename: a half-written set is never read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    side = path.with_suffix(".partial")
    write(side)
    side.replace(path)
