"""What the command line writes: sentences and tables for a person, JSON for a script. One object a process.

Results go to standard output, everything about them (progress, errors, questions) to standard error, so that
`entrenous contacts list --json | jq` sees JSON and nothing else.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TextIO

import segno
from rich.console import Console
from rich.table import Table

from .exits import ExitCode

PIPE_WIDTH = 2000


class Output:
    """Where a command's results go.

    Args:
        as_json: write JSON lines instead of text; the `--json` option sets it.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.out = Console(file=sys.stdout, highlight=False, soft_wrap=True, width=_width(sys.stdout))
        self.err = Console(file=sys.stderr, highlight=False, soft_wrap=True, width=_width(sys.stderr))

    @property
    def interactive(self) -> bool:
        """Whether a person sits at both ends: keys can be read and a line can be drawn anew."""
        return not self.as_json and sys.stdin.isatty() and sys.stdout.isatty()

    def line(self, text: str) -> None:
        """A line of the result, for a person only."""
        if not self.as_json:
            self.out.print(text, markup=False)

    def bell(self) -> None:
        """Ring the terminal's bell, for a person only."""
        if self.interactive:
            self.out.bell()

    def heading(self, text: str) -> None:
        """A heading of a part of the result, for a person only."""
        if not self.as_json:
            self.out.print(f"\n{text}", markup=False, style="bold")

    def progress(self, text: str) -> None:
        """A line about what is going on, for a person only."""
        if not self.as_json:
            # To a person both streams are one screen, and only what is printed through `out` spares the live line.
            console = self.out if self.interactive else self.err
            console.print(text, markup=False, style="dim")

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table, for a person only."""
        if self.as_json:
            return
        table = Table(*headings, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            table.add_row(*row)
        self.out.print(table, markup=False)

    def qr(self, text: str) -> None:
        """`text` as a QR code made of half blocks, for a person only."""
        if not self.as_json:
            segno.make(text, error="m", micro=False).terminal(out=sys.stdout, compact=True)
            sys.stdout.flush()

    def json(self, value: Mapping[str, Any]) -> None:
        """One JSON object on a line of its own, for a script only."""
        if self.as_json:
            print(json.dumps(plain(value), ensure_ascii=False), flush=True)  # noqa: T201 - this is the one place

    def event(self, name: str, **details: object) -> None:
        """One JSON object that says what happened and when (`at`, monotonic seconds), for a script only."""
        self.json({"event": name, "at": time.monotonic(), **details})

    def error(self, sentence: str, code: ExitCode) -> None:
        """The sentence that a failing command ends with; a script gets it as an object too."""
        self.err.print(f"entrenous: {sentence}", markup=False)
        self.json({"event": "error", "error": sentence, "exit": code.name.lower().replace("_", "-"), "code": int(code)})


def _width(stream: TextIO) -> int | None:
    """A terminal's own width; in a file or pipe nothing is folded, because a program may read it."""
    return None if stream.isatty() else PIPE_WIDTH


def save_qr(text: str, path: Path) -> None:
    """Write `text` as a QR code; the file's ending says how (png, svg, pdf …).

    Raises:
        OSError: the file cannot be written.
        ValueError: nothing is known by that ending.
    """
    segno.make(text, error="m", micro=False).save(str(path), scale=8)


def event_name(event: object) -> str:
    """The class name in lower case with hyphens: `WordsKnown` → `words-known`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(event).__name__).lower()


def plain(value: object) -> Any:
    """`value` made of what JSON has; what JSON does not know is written as `str()` does."""
    if value is None or (isinstance(value, bool | int | float) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return value
    if is_dataclass(value) and not isinstance(value, type) and type(value).__str__ is object.__str__:
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return str(value)


def debugging() -> bool:
    """Whether ENTRENOUS_DEBUG asks for tracebacks and the log."""
    return os.environ.get("ENTRENOUS_DEBUG", "") not in ("", "0")
