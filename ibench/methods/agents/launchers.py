"""What the scripted agents know: launchers for the engines installed beside them."""

from __future__ import annotations

import json
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Setup", "run_test", "seconds_left", "write_launcher"]


@dataclass(frozen=True)
class Setup:
    """One way to serve the model."""

    engine: str = "reference"
    dtype: str = "bfloat16"
    threads: int | None = 1
    attention: str | None = None

    def describe(self) -> str:
        """Readable list of choices."""
        threads = "default" if self.threads is None else str(self.threads)
        attention = f", attention {self.attention}" if self.attention else ""
        return f"{self.engine}, {self.dtype}, threads {threads}{attention}"

    def script(self) -> str:
        """Text of ``start_server.sh``."""
        lines = ["#!/usr/bin/env bash", "set -euo pipefail"]
        if self.threads is not None:
            lines.append(f"export OMP_NUM_THREADS={self.threads}")
        if self.engine == "reference":
            command = (
                'exec python -m ibench.serving.reference --model "$MODEL_PATH" '
                '--served-model-name "$MODEL_ID" --host "$HOST" --port "$PORT" '
                f"--dtype {self.dtype}"
            )
        else:
            command = (
                'exec transformers serve "$MODEL_PATH" --host "$HOST" --port "$PORT" '
                f"--dtype {self.dtype}"
            )
            if self.engine == "continuous-batching":
                # The default sizes take all free memory and many seconds.
                command += " --continuous-batching --cb-num-blocks 512"
                command += " --cb-max-batch-tokens 512"
            if self.attention:
                command += f" --attn-implementation {self.attention}"
        return "\n".join([*lines, command, ""])


def write_launcher(setup: Setup, folder: Path) -> None:
    """Put a setup in place."""
    path = folder / "start_server.sh"
    path.write_text(setup.script())
    path.chmod(0o755)


def run_test(folder: Path, *arguments: str) -> dict[str, Any] | None:
    """Run ``./test_server.sh`` and return its last JSON line, None if it failed."""
    done = subprocess.run(
        ["./test_server.sh", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"^\{.*\}$", done.stdout, re.M)
    if done.returncode or not found:
        return None
    line: dict[str, Any] = json.loads(found[-1])
    return line


def seconds_left(folder: Path) -> float:
    """Seconds left of the budget."""
    end_ns = json.loads((folder / "session.json").read_text())["deadline_ns"]
    return float(end_ns - time.monotonic_ns()) / 1e9
