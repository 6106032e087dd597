"""Reproducible research workbench for InferenceBench."""

__version__ = "0.1.0"
__all__ = ["__version__"]
