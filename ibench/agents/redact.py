"""Take keys, tokens and home folders out of everything that a session leaves."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["NAMED", "Redactor"]

NAMED = re.compile(r"(?:refresh|access|id)_?token$|api_?key$|^authorization$", re.I)

# Kinds of secrets by their own shape, whoever they belong to.
_SHAPES: tuple[tuple[str, str], ...] = (
    ("anthropic", r"sk-ant-[\w\-]{10,}"),
    ("openai", r"sk-(?:proj-|svcacct-|or-v1-)?[A-Za-z0-9_\-]{20,}"),
    ("github", r"(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})"),
    ("huggingface", r"hf_[A-Za-z0-9]{20,}"),
    ("google", r"(?:AIza[\w\-]{30,}|ya29\.[\w\-.]{20,}|1//0[\w\-]{20,})"),
    ("xai", r"xai-[A-Za-z0-9]{20,}"),
    ("aws", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    ("jwt", r"\beyJ[\w\-]{10,}\.eyJ[\w\-]{10,}(?:\.[\w\-]+)?"),
    ("bearer", r"(?<=[Bb]earer )[A-Za-z0-9._~+/\-]{16,}=*"),
)
# A value without a shape of its own is known by its name; the name stays.
_NAMED = re.compile(
    rb"((?:refresh|access|id)_?token[\"'\\]*\s*[:=]\s*[\"'\\]*)[\w\-./~+]{12,}=*",
    re.I,
)
_KEY_BEGIN = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_KEY_END = re.compile(rb"-----END [A-Z ]*PRIVATE KEY-----")
_KEY_BLOCK = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
    re.S,
)
_HOMES = re.compile(rb"/(?:home|Users)/[^/\s\"'\\:,;)]+|/root(?=[/\s\"'\\:,;)]|$)")
# One line of JSON may be long; beyond this a text is taken in pieces.
PIECE_BYTES = 64 * 2**20
SNIFF_BYTES = 8192


class Redactor:
    """Replaces secrets by ``[redacted:kind]`` and home folders by ``~``.

    Args:
        secrets: values known to be secret, whatever their shape.
        homes: further folders that name a person or a machine.
    """

    def __init__(self, secrets: Iterable[str] = (), homes: Iterable[str] = ()) -> None:
        """Compile; longer secrets first, because one may be part of another."""
        known = sorted({s for s in secrets if s}, key=len, reverse=True)
        self._known = [s.encode() for s in known]
        self._shapes = [
            (re.compile(pattern.encode()), f"[redacted:{kind}]".encode())
            for kind, pattern in _SHAPES
        ]
        self._homes = [h.rstrip("/").encode() for h in homes if len(h) > 1]

    def secrets(self, data: bytes) -> bytes:
        """Replace secrets only: for files that must still work."""
        for value in self._known:
            data = data.replace(value, b"[redacted:secret]")
        for pattern, mark in self._shapes:
            data = pattern.sub(mark, data)
        data = _NAMED.sub(rb"\g<1>[redacted:token]", data)
        return _KEY_BLOCK.sub(b"[redacted:private-key]", data)

    def bytes(self, data: bytes) -> bytes:
        """Replace secrets and home folders."""
        data = self.secrets(data)
        for home in self._homes:
            data = data.replace(home, b"~")
        return _HOMES.sub(b"~", data)

    def text(self, text: str) -> str:
        """Replace secrets and home folders."""
        return self.bytes(text.encode(errors="surrogateescape")).decode(
            errors="replace"
        )

    def copy(self, source: Path, target: Path) -> None:
        """Copy a file of any size, line by line; a half last line is a line."""
        with source.open("rb") as read, target.open("wb") as write:
            for piece in _pieces(read):
                write.write(self.bytes(piece))

    def folder(self, folder: Path) -> list[str]:
        """Replace secrets in the text files of a folder, in place; name those."""
        changed = []
        for path in _texts(folder):
            before = path.read_bytes()
            after = self.secrets(before)
            if after != before:
                mode, times = path.stat().st_mode, path.stat()
                path.unlink()  # another name of this file keeps its content
                path.write_bytes(after)
                path.chmod(mode)
                os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
                changed.append(path.relative_to(folder).as_posix())
        return changed


def _texts(folder: Path) -> Iterator[Path]:
    """Text files of a folder up to one piece; links are not followed."""
    for root, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(root) / name
            if path.is_symlink() or not path.is_file():
                continue
            if path.stat().st_size > PIECE_BYTES:
                continue
            with path.open("rb") as stream:
                if b"\0" not in stream.read(SNIFF_BYTES):
                    yield path


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    """Lines, a private key's lines together."""
    block = b""
    while line := stream.readline(PIECE_BYTES):
        if block:
            block += line
        elif _KEY_BEGIN.search(line) and not _KEY_END.search(line):
            block = line
            continue
        else:
            yield line
            continue
        if _KEY_END.search(line) or len(block) > PIECE_BYTES:
            yield block
            block = b""
    if block:
        yield block
