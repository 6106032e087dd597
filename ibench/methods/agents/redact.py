"""Take keys, tokens and home folders out of everything that a session leaves."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from ibench.methods.agents.links import HOLES_FROM_BYTES, entries, folders

__all__ = ["NAMED", "Redactor"]

NAMED = re.compile(r"(?:refresh|access|id)_?token$|api_?key$|^authorization$", re.I)

# Kinds of secrets by their own shape, whoever they belong to: how one begins, and how
# it goes on. A shape that prose and code have too holds a digit.
_SHAPES: tuple[tuple[str, str, str], ...] = (
    ("anthropic", "sk-ant-", r"[\w\-]{10,}"),
    (
        "openai",
        "sk-",
        r"(?=[\w\-]*\d)(?:(?:proj|svcacct|admin|None|lf|or-v1)-[\w\-]{20,}"
        r"|[\w\-]*?[A-Za-z0-9]{20}[\w\-]*)",
    ),
    ("github", "gh[pousr]_", r"[A-Za-z0-9]{20,}"),
    ("github", "github_pat_", r"(?=\w*\d)\w{20,}"),
    ("huggingface", "hf_", r"(?:[A-Za-z]{34}\b|(?=[A-Za-z]*\d)[A-Za-z0-9]{20,})"),
    ("google", "AIza", r"[\w\-]{30,}"),
    ("google", r"ya29\.", r"[\w\-.]{20,}"),
    ("google", "1//0", r"[\w\-]{20,}"),
    ("xai", "xai-", r"(?=[A-Za-z]*\d)[A-Za-z0-9]{20,}"),
    ("aws", "A[KS]IA", r"[A-Z0-9]{16}\b"),
    ("jwt", "eyJ", r"[\w\-]{10,}\.eyJ[\w\-]{10,}(?:\.[\w\-]+)?"),
)
# None begins within a word, but after an escape of JSON, of an address or of a terminal
# it does: the last letter of that is none of the text. Looked at behind the first
# letters: the other way round a search is sixteen times slower.
_BEFORE = (r"\\[nrtbf]", r"\\u[\dA-Fa-f]{4}", r"%[\dA-Fa-f]{2}", r"\[m", r"[\[;\d]\dm")
_BEARER = re.compile(rb"(?<=[Bb]earer )(?=[\w.~+/\-]*\d)[A-Za-z0-9._~+/\-]{16,}=*")
# A value without a shape of its own is known by its name; the name stays.
_NAMED = re.compile(
    rb"((?:refresh|access|(?<![A-Za-z])id|(?<=\\[nrt])id)_?token[\"'\\]*\s*[:=]\s*"
    rb"[\"'\\]*)(?=[\w\-./~+]*\d)[\w\-./~+]{12,}=*",
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
WORD_BYTES = 64 * 2**10
SNIFF_BYTES = 8192
_BETWEEN = re.compile(rb"[\s,;]")


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
            (_shape(begin, rest), f"[redacted:{kind}]".encode())
            for kind, begin, rest in _SHAPES
        ]
        self._homes = [h.rstrip("/").encode() for h in homes if len(h) > 1]

    def known(self, data: bytes) -> bytes:
        """Replace the values known to be secret, and nothing that looks like one."""
        for value in self._known:
            data = data.replace(value, b"[redacted:secret]")
        return data

    def secrets(self, data: bytes) -> bytes:
        """Replace secrets only: for files that must still work."""
        data = self.known(data)
        for pattern, mark in self._shapes:
            data = pattern.sub(mark, data)
        data = _BEARER.sub(b"[redacted:bearer]", data)
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

    def folder(self, folder: Path, own: Collection[str] = ()) -> list[str]:
        """Replace secrets in the text files of a folder, in place; name those.

        Secrets only: what an agent wrote must still work where it lies, so a workspace
        and a submission keep the home folders and host names that stand in them.

        Args:
            folder: where to look.
            own: files of the house, by their path below the folder: known values are
                replaced in them, but nothing that only looks like a secret. A change
                to one of them is held against the agent.
        """
        changed = []
        for path in _texts(folder):
            name = path.relative_to(folder).as_posix()
            clean = self.known if name in own else self.secrets
            if _rewrite(path, folder.parent, clean):
                changed.append(name)
        return changed


def _shape(begin: str, rest: str) -> re.Pattern[bytes]:
    allowed = "|".join(f"(?<={before}{begin})" for before in _BEFORE)
    return re.compile(rf"{begin}(?:(?<![\w\-]{begin})|{allowed}){rest}".encode())


def _rewrite(path: Path, aside: Path, clean: Callable[[bytes], bytes]) -> bool:
    """Replace what is secret in a file, if anything is; another name of it keeps it.

    Written outside its folder and moved: the file is there whole at any time.
    """
    with path.open("rb") as read:
        if not any(
            _has_text(block) and clean(block) != block for block in _blocks(read)
        ):
            return False
        read.seek(0)
        found = path.stat()
        handle, name = tempfile.mkstemp(dir=aside)
        side = Path(name)
        try:
            with os.fdopen(handle, "wb") as write:
                for block in _blocks(read):
                    write.write(clean(block) if _has_text(block) else block)
            side.chmod(stat.S_IMODE(found.st_mode))
            os.utime(side, ns=(found.st_atime_ns, found.st_mtime_ns))
            side.replace(path)
        finally:
            side.unlink(missing_ok=True)
    return True


def _texts(folder: Path) -> Iterator[Path]:
    """Text files of a folder; links are not followed."""
    for here in folders(folder):
        for entry in entries(here):
            path = Path(entry.path)
            if entry.is_file(follow_symlinks=False) and _is_text(path):
                yield path


def _is_text(path: Path) -> bool:
    """Whether a file begins like a text; one that cannot be read is none.

    Neither is a huge one with holes: there may be more of them than can be read.
    """
    try:
        with path.open("rb") as stream:
            if b"\0" in stream.read(SNIFF_BYTES):
                return False
            size = os.fstat(stream.fileno()).st_size
            if size < HOLES_FROM_BYTES:
                return True
            return os.lseek(stream.fileno(), 0, os.SEEK_HOLE) >= size
    except OSError:
        return False


def _has_text(block: bytes) -> bool:
    return bool(block.strip(b"\0"))


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    """A text as a whole, a large one in blocks that end where a piece does."""
    block = bytearray()
    for piece in _pieces(stream):
        block += piece
        if len(block) >= PIECE_BYTES:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    """Lines, a private key's lines together."""
    block = b""
    while line := _line(stream):
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


def _line(stream: BinaryIO) -> bytes:
    """A line; one longer than a piece is cut between two words."""
    line = stream.readline(PIECE_BYTES)
    if len(line) < PIECE_BYTES or line.endswith(b"\n"):
        return line
    more = stream.readline(WORD_BYTES)
    cut = _BETWEEN.search(more)
    end = cut.end() if cut else len(more)
    stream.seek(end - len(more), os.SEEK_CUR)
    return line + more[:end]
