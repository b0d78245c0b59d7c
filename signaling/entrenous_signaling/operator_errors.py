"""What goes wrong for the operator, and is told in a sentence."""

from __future__ import annotations

from typing import ClassVar


class OperatorError(Exception):
    """Something cannot be done; `str()` is a sentence that says why, and what to do."""

    exit_code: ClassVar[int] = 1
    """What the command line ends with."""
