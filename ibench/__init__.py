"""Reproducible research workbench for benchmarks of coding agents at LLM inference."""

from pathlib import Path

__version__ = "0.1.0"
__all__ = ["PACKAGE", "REPOSITORY", "__version__"]

PACKAGE = Path(__file__).resolve().parent
"""Folder of this package: sandboxes show it to what they run."""
REPOSITORY = PACKAGE.parent
"""The checkout, whose notebooks, parameters and lock the stages read."""
