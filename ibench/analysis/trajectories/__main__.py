"""Run the command line: ``python -m ibench.analysis.trajectories``."""

from __future__ import annotations

import sys

from ibench.analysis.trajectories.command import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
