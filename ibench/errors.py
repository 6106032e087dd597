"""The one exception tree of the project.

IbenchError                     anything this project raises on purpose
├── UserError                   the person at the keyboard can mend it (exit code 2)
│   ├── ParameterError          a file, a key, a value, a remedy
│   ├── AccessError             an agent's provider says no: login, credit, model
│   ├── DataError               data that cannot be fetched, verified or made
│   ├── OfflineError            a hub or data set is out of reach
│   ├── DiskFullError           no room for a file; what was there is untouched
│   ├── ClusterError            a scheduler that is missing or says no
│   ├── EngineError             an engine not built, or not what its file says
│   └── CorruptResultError      a result on disk is not what its record says
├── StageError                  a stage ran and did not finish (exit code 1)
│   ├── StageTimeoutError       its whole-run limit passed
│   ├── StageStoppedError       a signal ended it
│   │   └── PreemptedError      and what it had is kept, to go on with (exit code 85)
│   └── InfrastructureError     the machine failed, not what ran on it (exit code 75)
├── DriverError                 no GPU driver answers
├── WorkloadError               documents cannot yield the requests asked for
├── LaunchError                 a server was not reached; carries its outcome
├── SandboxError                the sandbox itself failed, not what ran in it
├── MetricUndefinedError        the input does not define the number asked for
└── JudgeError                  the judge could not be asked or understood
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

__all__ = [
    "AccessError", "ClusterError", "CorruptResultError", "DataError", "DiskFullError",
    "DriverError", "EngineError", "IbenchError", "InfrastructureError", "JudgeError",
    "LaunchError", "MetricUndefinedError", "OfflineError", "ParameterError",
    "PreemptedError", "SandboxError", "StageError", "StageStoppedError",
    "StageTimeoutError", "UserError", "WorkloadError", "nearest", "unknown_name",
]  # fmt: skip


class IbenchError(Exception):
    """Root of the tree; its exit code is what a command ends with."""

    exit_code = 1


class UserError(IbenchError):
    """A mistake the user can mend; the message is one line with the remedy."""

    exit_code = 2


class ParameterError(UserError):
    """A parameter file or argument is wrong.

    Args:
        file: the file or command that holds the value.
        key: dotted path of the key.
        value: what stands there.
        remedy: what to write instead.
    """

    def __init__(self, file: Path | str, key: str, value: object, remedy: str) -> None:
        """Keep the four parts for programs and join them for people."""
        self.file, self.key, self.value, self.remedy = str(file), key, value, remedy
        super().__init__(f"{file}: {key}: {value!r}: {remedy}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Say "; did you mean 'x'?" if a known name resembles ``name``, else nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def unknown_name(
    file: Path | str, key: str, value: str, known: Iterable[str]
) -> ParameterError:
    """Make the error of a name that is not among the known ones; it lists up to 60."""
    names = list(known)
    hint = nearest(value, names)
    # A grid has thousands of jobs; a line of them helps nobody.
    there = ", ".join(names) if len(names) <= 60 else f"{len(names)} names"
    remedy = f"unknown{hint}{'' if hint else ';'} choose one of {there or 'none'}"
    return ParameterError(file, key, value, remedy)


class AccessError(UserError):
    """An agent cannot reach its model until somebody logs in, pays or installs."""


class DataError(UserError):
    """Model or data: refused, gone, not what the lock says, or no room for it."""


class OfflineError(UserError):
    """A model or data hub cannot be reached and nothing is cached."""


class EngineError(UserError):
    """An engine's environment is missing, does not build or lacks a flag."""


class CorruptResultError(UserError):
    """A stored result does not match its record (edited, half written, gone)."""


class DiskFullError(UserError):
    """A disk or quota is full; the file that was to be written is as it was."""


class ClusterError(UserError):
    """A scheduler's command is missing, or refused what it was asked."""


class StageError(IbenchError):
    """A stage's notebook failed; its evidence stays under ``attempts/``."""


class StageTimeoutError(StageError):
    """A stage passed its whole-run limit and was ended."""


class StageStoppedError(StageError):
    """A signal ended a stage: a person's, or a scheduler's."""


class PreemptedError(StageStoppedError):
    """A stage gave its machine back and goes on where it was when it is run again."""

    exit_code = 85


class InfrastructureError(StageError):
    """The machine failed, not what ran on it: worth another try elsewhere."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


class DriverError(IbenchError):
    """No GPU driver answers here; what needs one says what to do instead."""


class WorkloadError(IbenchError):
    """The document source cannot yield the request set that was asked for."""


class LaunchError(IbenchError):
    """A submission's server was not reached.

    Args:
        outcome: a value of ``records.LaunchOutcome``.
        detail: one line for people.
    """

    def __init__(self, outcome: str, detail: str) -> None:
        """Keep the outcome, which becomes part of the record."""
        self.outcome, self.detail = outcome, detail
        super().__init__(f"{outcome}: {detail}")


class SandboxError(IbenchError):
    """The sandbox could not be built; says nothing about what should run in it."""


class MetricUndefinedError(IbenchError):
    """A metric has no value for this input; never to be read as zero."""


class JudgeError(IbenchError):
    """The judge gave no usable label; the check counts as not run."""
