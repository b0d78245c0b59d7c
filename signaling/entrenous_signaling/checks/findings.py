"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """The server runs, and some of it may not work or not for long."""
    ERROR = "error"
    """The server does not start, or nobody reaches it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        level: how bad it is.
        subject: what was looked at, in one or two words.
        text: what was seen, a sentence.
        next_step: what to do about it; empty when it is as it should be.
    """

    level: Level
    subject: str
    text: str
    next_step: str = ""


def ok(subject: str, text: str) -> Finding:
    """Something is as it should be."""
    return Finding(Level.OK, subject, text)


def warning(subject: str, text: str, next_step: str) -> Finding:
    """Something will not do for long, or not for everybody."""
    return Finding(Level.WARNING, subject, text, next_step)


def error(subject: str, text: str, next_step: str) -> Finding:
    """Something keeps the server from doing its work."""
    return Finding(Level.ERROR, subject, text, next_step)
