"""Compares a configuration of the relay that stands in a file with the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from .operator_errors import OperatorError

_HIDDEN: Final = "static-auth-secret"
_SHOWN: Final = 10


class FileDiffersError(OperatorError):
    """A file is not what the settings make; `str()` is a sentence and the lines that differ, without secrets."""


def compare(path: Path, text: str) -> None:
    """Compare a file with what the settings make; comments and empty lines do not count, the order does not either.

    Raises:
        FileDiffersError: the directives are others.
        ValueError: the file cannot be read.
    """
    try:
        written = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no configuration of a relay.") from None
    have, want = _directives(written), _directives(text)
    lines = [f"  not from the settings: {_shown(line)}" for line in have if line not in want]
    lines += [f"  missing: {_shown(line)}" for line in want if line not in have]
    if lines:
        more = [] if len(lines) <= _SHOWN else [f"  and {len(lines) - _SHOWN} more"]
        raise FileDiffersError("\n".join([f"{path} is not what the settings make:", *lines[:_SHOWN], *more]))


def _directives(text: str) -> list[str]:
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _shown(line: str) -> str:
    return f"{_HIDDEN}=…" if line.startswith(_HIDDEN) else line
