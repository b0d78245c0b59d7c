"""The command line `entrenous …`, built on the public API only."""

from __future__ import annotations

import signal
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and end the process with its exit code.

    Loading the program takes a moment, and Ctrl-C would show where Python was just then. So until the command runs, and
    once it has ended, Ctrl-C ends the process at once instead; `program.main` answers it while the command runs.

    Args:
        arguments: instead of those of the process.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from .program import main as run  # not before: this is what takes the moment

    run(arguments)
