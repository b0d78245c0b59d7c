"""The command line `entrenous …`, built on the public API only."""

from .program import main

__all__ = ["main"]
