"""The server's log: typed events of numbers and enums, so that no name, address or call can get into it.

A line is the time, the level, the event and its numbers::

    2026-11-21T18:42:07Z info started
    2026-11-21T18:43:10Z warning store-failing
    2026-11-21T18:43:11Z error foreign source=aiohttp

What libraries log is reduced to its level and the library it came from: their texts contain addresses. Of an error
inside the server the module and the line are kept, never the text.
"""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Final

_OURS: Final = Path(__file__).parent
_logger: Final = logging.getLogger("entrenous_signaling")


class Event(Enum):
    """What can be logged, each with its level."""

    STARTED = ("started", logging.INFO)
    STOPPING = ("stopping", logging.INFO)
    STOPPED = ("stopped", logging.INFO)
    STORE_FAILING = ("store-failing", logging.WARNING)
    """Nothing can be stored: nodes are told to try again. See the disk and who holds the database locked."""
    STORE_WORKING = ("store-working", logging.INFO)
    FULL = ("full", logging.WARNING)
    """A connection was turned away: there are as many as there may be."""
    SLOW_READER = ("slow-reader", logging.INFO)
    """A connection was cut because its node did not read; its session may be resumed."""
    INTERNAL_ERROR = ("internal-error", logging.ERROR)
    """A mistake in the server; `source` and `line` say where."""
    FOREIGN = ("foreign", logging.WARNING)
    """A library logged something."""


class Source(Enum):
    """Where an event comes from: a library, or a module of the server."""

    AIOHTTP = "aiohttp"
    ASYNCIO = "asyncio"
    SQLALCHEMY = "sqlalchemy"
    ALEMBIC = "alembic"
    APP = "app"
    AUTH = "auth"
    CALLS = "calls"
    HUB = "hub"
    LOBBY = "lobby"
    MAILBOX = "mailbox"
    OUTPUTS = "outputs"
    ROUTER = "router"
    TIMERS = "timers"
    TURN = "turn"
    WRITER = "writer"
    STATEMENTS = "statements"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One line of the log.

    Args:
        event: what happened.
        source: where, for what is not a plain event of the server.
        line: the line in that module.
    """

    event: Event
    source: Source | None = None
    line: int | None = None

    def __str__(self) -> str:
        words = [self.event.value[0]]
        if self.source is not None:
            words.append(f"source={self.source.value}")
        if self.line is not None:
            words.append(f"line={self.line:d}")
        return " ".join(words)


def log(event: Event) -> None:
    """Log a plain event."""
    _logger.log(event.value[1], LogEvent(event))


def log_internal_error(error: BaseException | None) -> None:
    """Log where in the server an error came from."""
    source, line = Source.OTHER, None
    trace: TracebackType | None = None if error is None else error.__traceback__
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_relative_to(_OURS):
            source, line = _source(path.stem), trace.tb_lineno
        trace = trace.tb_next
    _logger.log(Event.INTERNAL_ERROR.value[1], LogEvent(Event.INTERNAL_ERROR, source, line))


def configure(level: int = logging.INFO) -> None:
    """Send the log to standard error, and reduce what libraries log."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TypedFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.raiseExceptions = False  # a handler that fails would print the record, texts and all
    for name in ("aiohttp", "asyncio", "alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.WARNING)


class TypedFormatter(logging.Formatter):
    """Writes our events, and of everything else only the level and the library."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; no text, argument or traceback of a library gets into it."""
        event = record.msg
        if not isinstance(event, LogEvent):
            event = LogEvent(Event.FOREIGN, _source(record.name.partition(".")[0]))
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        return f"{moment} {record.levelname.lower()} {event}"


def _source(name: str) -> Source:
    try:
        return Source(name)
    except ValueError:
        return Source.OTHER
