"""`entrenous-signaling`: one module a group of commands."""

from .program import main

__all__ = ["main"]
