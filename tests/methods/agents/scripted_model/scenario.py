"""A written scenario for a model: what it says and does, turn by turn.

```yaml
steps:
  - say: I look around first.
    run: ls -la
  - run: ./test_server.sh --quick
  - say: It works, I am done.        # no run: the model stops here
  - say: There is time left.         # what it does when it is resumed
    run: ./timer.sh
  - fail: {status: 429, kind: rate_limit_error, message: slow down}
  - stop: Nothing more to do.
```

A step is played when the conversation asks for it: the model counts the answers of its
own that the request already holds. Small requests beside the conversation (titles,
summaries) carry no shell tool; they are answered with a word and move nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Failure", "Scenario", "Step"]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Failure(_Closed):
    """An error that the provider answers."""

    status: int
    kind: str
    message: str
    times: int = 1


class Step(_Closed):
    """One answer of the model."""

    say: str = ""
    run: str | None = None
    wait_s: float = 0.0
    fail: Failure | None = None


class Scenario(_Closed):
    """Answers in order; the last one is repeated."""

    steps: Annotated[tuple[Step, ...], Field(min_length=1)]

    @classmethod
    def read(cls, path: Path) -> Scenario:
        """Read one from YAML."""
        return cls.model_validate(yaml.safe_load(path.read_text()))
