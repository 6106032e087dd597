"""``python -m ibench`` and the console script ``ibench``."""

from __future__ import annotations

import sys

from ibench.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
