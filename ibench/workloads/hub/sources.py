"""What a profile takes from a hub, by repository and commit."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from pydantic import Field

from ibench.params import ModelSpec, Profile
from ibench.params.types import Commit
from ibench.records import Closed

__all__ = [
    "Source",
    "document_source",
    "model_source",
    "place",
    "question_source",
    "sources_of",
]

# Weights once: Mistral's repositories hold a second copy under `consolidated`.
_MODEL_FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.py")
_MODEL_LEFT_OUT = ("consolidated*", "original/*")


class Source(Closed):
    """Some files of one commit of a hub repository."""

    kind: Literal["model", "dataset"]
    repository: str
    revision: Commit
    files: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    named_in: str = Field(description="file and key that name the commit")

    @property
    def key(self) -> str:
        """Name in the lock, for example ``dataset:THUDM/LongBench-v2@2b48...``."""
        return f"{self.kind}:{self.repository}@{self.revision}"

    def wants(self, path: str) -> bool:
        """Whether a file of the repository belongs to it, by the hub's patterns."""
        return any(fnmatch(path, p) for p in self.files) and not any(
            fnmatch(path, p) for p in self.left_out
        )


def model_source(spec: ModelSpec, name: str = "") -> Source | None:
    """The base model's weights and tokenizer; nothing for the embedded model."""
    if spec.kind == "embedded":
        return None
    return Source(
        kind="model",
        repository=str(spec.repository),
        revision=str(spec.revision),
        files=_MODEL_FILES,
        left_out=_MODEL_LEFT_OUT,
        named_in=f"params/models/{name}.yaml: revision",
    )


def document_source(profile: Profile) -> Source | None:
    """The documents that requests are cut from; nothing for the standard library."""
    if profile.documents == "stdlib":
        return None
    return Source(
        kind="dataset",
        repository="THUDM/LongBench-v2",
        revision=str(profile.documents_revision),
        files=("data.json",),
        named_in=f"params/profiles/{profile.name}.yaml: documents_revision",
    )


def question_source(profile: Profile) -> Source | None:
    """The quality questions; nothing for the embedded bank."""
    if profile.questions.source == "embedded":
        return None
    return Source(
        kind="dataset",
        repository="TIGER-Lab/MMLU-Pro",
        revision=str(profile.questions.revision),
        files=("data/test-*.parquet",),
        named_in=f"params/profiles/{profile.name}.yaml: questions.revision",
    )


def sources_of(profile: Profile, model: ModelSpec) -> tuple[Source, ...]:
    """Everything that ``make data`` fetches for a profile; small things first."""
    found = (
        question_source(profile),
        document_source(profile),
        model_source(model, profile.model),
    )
    return tuple(source for source in found if source is not None)


def place(source: Source, cache: Path) -> Path:
    """Folder of a source below the cache; it is there when it is complete.

    Plain files under the repository's own name: a sandbox shows the folder alone, so
    links into another one would lead nowhere, and servers name a model by its folder.
    """
    return cache / "hub" / source.revision / source.repository.split("/")[-1]
