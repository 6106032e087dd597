"""The one exception tree of the project.

IbenchError                     anything this project raises on purpose
├── UserError                   the person at the keyboard can mend it (exit code 2)
│   ├── ParameterError          a file, a key, a value, a remedy
│   ├── OfflineError            a hub or data set is out of reach
│   └── CorruptResultError      a result on disk is not what its record says
├── StageError                  a stage ran and did not finish (exit code 1)
│   └── StageTimeoutError       its whole-run limit passed
├── WorkloadError               documents cannot yield the requests asked for
├── LaunchError                 a server was not reached; carries its outcome
├── SandboxError                the sandbox itself failed, not what ran in it
├── MetricUndefinedError        the input does not define the number asked for
└── JudgeError                  the judge could not be asked or understood
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "CorruptResultError",
    "IbenchError",
    "JudgeError",
    "LaunchError",
    "MetricUndefinedError",
    "OfflineError",
    "ParameterError",
    "SandboxError",
    "StageError",
    "StageTimeoutError",
    "UserError",
    "WorkloadError",
]


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


class OfflineError(UserError):
    """A model or data hub cannot be reached and nothing is cached."""


class CorruptResultError(UserError):
    """A stored result does not match its record (edited, half written, gone)."""


class StageError(IbenchError):
    """A stage's notebook failed; its evidence stays under ``attempts/``."""


class StageTimeoutError(StageError):
    """A stage passed its whole-run limit and was ended."""


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
