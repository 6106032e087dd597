"""Shell text as simple commands: enough of the grammar to tell running from reading.

``cat evaluate.py`` reads the evaluator and ``python evaluate.py`` runs it; only the
position of a word says which. Text that is no shell, or was cut, gives what it gives.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from ibench.analysis.trajectories.heredocs import Heredoc, heredocs
from ibench.analysis.trajectories.known import KNOWN

__all__ = ["ShellCommand", "commands_in", "reader_of", "simple_commands"]

_TOKEN = re.compile(
    r"(?:[ \t\r]|\\\n)*(?:\Z"
    r"|(?P<end>\n|;;?|&&|\|\|?|&(?!>)|[()])"
    r"|(?P<redirect>\d?(?:&>>?|>>?&?|<<?<?&?)\d?-?)"
    r"""|(?P<word>(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^\s;&|<>()'"\\])+)"""
    r"|(?P<rest>.))",
    re.S,
)
_SET = re.compile(r"[A-Za-z_]\w*=")
_QUOTED = re.compile(r"'([^']*)'|\"((?:\\.|[^\"\\])*)\"|\\(.)", re.S)
_SHELLS = frozenset({"bash", "sh", "zsh", "dash"})
_WRAPPERS = KNOWN.wrappers
_INTERPRETER = re.compile(r"python[\d.]*|(?:ba|z|da)?sh|source|\.")
_CONTAINERS = frozenset({"docker", "podman"})
# Options that are followed by a word of their own.
_SSH_OPTIONS = frozenset(f"-{letter}" for letter in "BbcDEeFIiJLlmOopQRSWw")
_EXEC_OPTIONS = frozenset({"-e", "--env", "-u", "--user", "-w", "--workdir"})
_DEPTH = 3


class ShellCommand(NamedTuple):
    """One program with its arguments, without what stands before it.

    Attributes:
        words: the program as it is called, and its arguments.
        env: variables set for it.
        program: last part of the program's path.
    """

    words: tuple[str, ...]
    env: dict[str, str]
    program: str

    @property
    def line(self) -> str:
        """Program and arguments, without the program's folder."""
        return " ".join((self.program, *self.words[1:]))

    @property
    def script(self) -> str:
        """Name of the script that is run, directly or by an interpreter.

        >>> next(simple_commands("timeout 9 python3 -u ./evaluate.py --quick")).script
        'evaluate.py'
        """
        program = self.program
        if not _INTERPRETER.fullmatch(program):
            return program
        for word in self.words[1:]:
            if word in {"-m", "-c"}:
                return ""
            if not word.startswith("-"):
                return _name(word)
        return ""


def _name(path: str) -> str:
    return path if "/" not in path else path.rstrip("/").rpartition("/")[2]


def simple_commands(text: str, depth: int = 0) -> Iterator[ShellCommand]:
    """Give the programs that a shell text runs, in order.

    >>> [c.words for c in simple_commands("cd /w && nohup vllm serve m > log 2>&1 &")]
    [('cd', '/w'), ('vllm', 'serve', 'm')]
    >>> [c.words for c in simple_commands("bash -lc 'ls -l; pwd'")]
    [('ls', '-l'), ('pwd',)]
    >>> [c.words for c in simple_commands("ssh -p 22 host 'vllm serve m'")]
    [('vllm', 'serve', 'm')]
    """
    rest, documents = heredocs(text)
    for words in _split(rest):
        command = _unwrapped(words)
        if command is None:
            continue
        inner = _inner(command) if depth < _DEPTH else None
        if inner is None:
            yield command
        else:
            yield from simple_commands(inner, depth + 1)
    for document in documents if depth < _DEPTH else ():
        if reader_of(document) in _SHELLS:
            yield from simple_commands(document.body, depth + 1)


def reader_of(document: Heredoc) -> str:
    r"""Name the program that reads a text as its input.

    >>> reader_of(heredocs("cd /w; timeout 9 python3 - <<'E'\nprint(1)\nE")[1][0])
    'python3'
    """
    command = next(map(_unwrapped, _split(document.reader)), None)
    return command.program if command else ""


@lru_cache(maxsize=1024)
def commands_in(text: str) -> tuple[ShellCommand, ...]:
    """The same as a tuple; several rules ask for one text in a row."""
    return tuple(simple_commands(text))


def _split(text: str) -> Iterator[list[str]]:
    words: list[str] = []
    skip_word = in_comment = False
    for token in _TOKEN.finditer(text):
        if (kind := token.lastgroup) is None:
            break
        value = token[kind]
        if in_comment and value != "\n":
            continue
        in_comment = False
        if kind == "end":
            yield words
            words, skip_word = [], False
        elif kind == "redirect":
            # "2>&1" is whole; "> file" takes the next word with it.
            skip_word = not value[-1:].isdigit() or value[-1:] == ">"
        elif kind == "word":
            if value.startswith("#"):
                in_comment = True
            elif skip_word:
                skip_word = False
            else:
                words.append(_unquoted(value))
    yield words


def _unquoted(word: str) -> str:
    if "'" not in word and '"' not in word and "\\" not in word:
        return word
    return _QUOTED.sub(lambda m: next(g for g in m.groups() if g is not None), word)


def _unwrapped(words: list[str]) -> ShellCommand | None:
    env: dict[str, str] = {}
    at = 0
    while at < len(words):
        word = words[at]
        name = _name(word)
        if word == "export":
            at += 1
        elif _SET.match(word):
            key, _, value = word.partition("=")
            env[key] = value
            at += 1
        elif name in _WRAPPERS:
            at += 1
            while at < len(words) and words[at].startswith("-"):
                at += 1
            at += _WRAPPERS[name]
        else:
            return ShellCommand(tuple(words[at:]), env, name)
    return ShellCommand((), env, "") if env else None


def _inner(command: ShellCommand) -> str | None:
    """Text of a ``bash -c`` command, or of one for another machine or container."""
    program, words = command.program, command.words
    if program == "ssh":  # the words are put together again at the other end
        return " ".join(_operands(words[1:], _SSH_OPTIONS)[1:]) or None
    if program in _CONTAINERS and words[1:2] == ("exec",):
        return shlex.join(_operands(words[2:], _EXEC_OPTIONS)[1:]) or None
    if program not in _SHELLS:
        return None
    for n, word in enumerate(command.words[1:-1], start=1):
        if word.startswith("-") and word.endswith("c"):
            return command.words[n + 1]
        if not word.startswith("-"):
            return None
    return None


def _operands(words: tuple[str, ...], valued: frozenset[str]) -> tuple[str, ...]:
    """What stands behind the options."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in valued else 1
    return words[at:]
