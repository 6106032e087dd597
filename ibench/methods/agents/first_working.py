"""Scripted agent ``first-working``: the first server that answers, then stops.

The commonest agent of the paper: 'first working configuration' (appendix, Table 14).
"""

from __future__ import annotations

import sys
from pathlib import Path

from ibench.methods.agents.launchers import Setup, run_test, write_launcher

__all__ = ["main"]

ATTEMPTS = (Setup(engine="continuous-batching"), Setup(engine="serve"), Setup())


def main() -> int:
    """Try engines in the order a newcomer would; ship the first that answers."""
    folder = Path.cwd()
    for setup in ATTEMPTS:
        write_launcher(setup, folder)
        sys.stdout.write(f"trying {setup.describe()}\n")
        result = run_test(folder, "--quick")
        if result is not None:
            sys.stdout.write(f"it answers ({result['objective']:.4g}); done\n")
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
