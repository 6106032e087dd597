"""The hub: what it lists for a commit, the download, and its errors in one line."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ibench.errors import DataError, IbenchError, OfflineError
from ibench.workloads.hub.sources import Source

__all__ = ["HUB_NOTES", "HubFile", "download", "explained", "is_as_listed", "listing"]

HUB_NOTES = ".cache"  # what huggingface_hub keeps beside the files it brings
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class HubFile(NamedTuple):
    """What the hub says of one file of a commit."""

    bytes: int
    sha256: str | None  # of large files only
    git_id: str


def listing(source: Source, endpoint: str | None = None) -> dict[str, HubFile]:
    """Ask the hub which of a source's files the commit holds.

    Raises:
        DataError: the commit holds none of them.
    """
    from huggingface_hub import HfApi  # noqa: PLC0415 (slow import)
    from huggingface_hub.hf_api import RepoFile  # noqa: PLC0415

    tree = HfApi(endpoint=endpoint).list_repo_tree(
        source.repository,
        repo_type=source.kind,
        revision=source.revision,
        recursive=True,
    )
    found = {
        entry.path: HubFile(
            entry.size, entry.lfs.sha256 if entry.lfs else None, entry.blob_id
        )
        for entry in tree
        if isinstance(entry, RepoFile) and source.wants(entry.path)
    }
    if not found:
        raise DataError(
            f"{source.key}: holds no file like {', '.join(source.files)}: check the "
            f"commit in {source.named_in}"
        )
    return found


def download(source: Source, folder: Path, endpoint: str | None = None) -> None:
    """Bring a source's files into a folder; go on where an earlier try broke off."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415 (slow import)

    snapshot_download(
        source.repository,
        repo_type=source.kind,
        revision=source.revision,
        local_dir=folder,
        allow_patterns=list(source.files),
        ignore_patterns=list(source.left_out),
        endpoint=endpoint,
    )


def is_as_listed(path: Path, listed: HubFile, sha256: str) -> bool:
    """Whether a file with this SHA-256 has the content that the hub lists.

    Small files are listed by their Git id, large ones by their SHA-256.
    """
    if path.stat().st_size != listed.bytes:
        return False
    if listed.sha256 is not None:
        return sha256 == listed.sha256
    content = path.read_bytes()
    head = b"blob %d\0" % len(content)
    git_id = hashlib.sha1(head + content, usedforsecurity=False).hexdigest()
    return git_id == listed.git_id


@contextmanager
def explained(source: Source, folder: Path) -> Iterator[None]:
    """Turn what the hub's library raises into one line with a remedy.

    Raises:
        DataError: refused, gone, or no room.
        OfflineError: everything else; it may go on when it is run again.
    """
    from huggingface_hub.utils import logging  # noqa: PLC0415 (slow import)

    # Its warnings while it tries again are not the user's to read.
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        yield
    except IbenchError:
        raise
    except Exception as error:  # the library documents no closed set
        raise _one_line(source, folder, error) from error


def _one_line(source: Source, folder: Path, error: Exception) -> IbenchError:
    from huggingface_hub import errors as hub  # noqa: PLC0415 (slow import)

    if isinstance(error, OSError) and error.errno in _FULL:
        return DataError(
            f"{folder}: {error.strerror}: make room or put the cache on another disk, "
            "then run it again; files that came whole are kept"
        )
    if isinstance(error, hub.GatedRepoError):
        return DataError(
            f"{source.repository}: gated: accept its terms on its page and set "
            "HF_TOKEN to a token that may read it"
        )
    if isinstance(error, hub.RepositoryNotFoundError):
        return DataError(
            f"{source.repository}: no such {source.kind}, or a private one: check its "
            "name, or set HF_TOKEN to a token that may read it"
        )
    if isinstance(error, hub.RevisionNotFoundError):
        return DataError(
            f"{source.repository}: commit {source.revision} is not there any more: "
            f"name another one in {source.named_in}"
        )
    return OfflineError(
        f"{source.key}: not fetched ({_reason(error)}): run `make data` again with "
        "network access; files that came whole are kept"
    )


def _reason(error: BaseException) -> str:
    """First line of the innermost cause: the library wraps it in paragraphs."""
    while error.__cause__ is not None:
        error = error.__cause__
    first = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
