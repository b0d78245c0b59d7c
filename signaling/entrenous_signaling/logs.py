"""The server's log: typed events of numbers and enums, so that no name, address or call can get into it.

A line is the time, the level, the event and its numbers, as text or as a JSON object::

    2026-11-21T18:42:07Z info started
    2026-11-21T18:43:10Z warning store-failing
    2026-11-21T18:43:11Z error foreign source=aiohttp
    {"time":"2026-11-21T18:59:00Z","level":"info","event":"draining","connections":812,"seconds":10}

LOGGED is the whole of it: every event, with the fields that it may have.

What libraries log is reduced to its level and the library it came from: their texts contain addresses. Of an error
inside the server, caught or not, the module and the line are kept, never the text.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Final, assert_never

from .line_writer import LineWriter

_OURS: Final = Path(__file__).parent
_logger: Final = logging.getLogger("entrenous_signaling")

LINES_A_MINUTE: Final = 60
"""Lines of one event (of one source) in a minute: what strangers can cause over and over must not fill a disk."""


class Event(Enum):
    """What can be logged, each with its level."""

    STARTED = ("started", logging.INFO)
    DRAINING = ("draining", logging.INFO)
    """The server goes down: so many connections are closed, over so many seconds at most."""
    STOPPED = ("stopped", logging.INFO)
    """After so many seconds; so many calls go on, and will be claimed when the server is back."""
    CERTIFICATE_RELOADED = ("certificate-reloaded", logging.INFO)
    """New connections get the certificate that the files hold now; `expires` is in Unix seconds."""
    CERTIFICATE_UNUSABLE = ("certificate-unusable", logging.ERROR)
    """The files of the certificate hold no matching pair: the old one, which ends at `expires`, stays in use."""
    STORE_FAILING = ("store-failing", logging.WARNING)
    """Nothing can be stored: nodes are told to try again. See the disk and who holds the database locked."""
    STORE_WORKING = ("store-working", logging.INFO)
    FULL = ("full", logging.WARNING)
    """A connection was turned away: there are as many as there may be."""
    BUS_CONNECTED = ("bus-connected", logging.INFO)
    """The bus to the other nodes of the cluster is reached."""
    BUS_LOST = ("bus-lost", logging.WARNING)
    """The bus is not reached: what is for other nodes is refused for now. See NATS and the network."""
    BUS_REFUSED = ("bus-refused", logging.ERROR)
    """What answers for the bus does not let this node in, or is not who it should be: `check` says why."""
    CLOCK_DIFFERS = ("clock-differs", logging.ERROR)
    """This node's clock is so many seconds ahead of the database's, or behind it where the number is negative: it takes
    no newcomers, and leaves it to other nodes to close records that nobody keeps alive. Set the clock, and restart."""
    CLOCK_AGREES = ("clock-agrees", logging.INFO)
    CLOCK_SET = ("clock-set", logging.WARNING)
    """The machine's clock is so many seconds ahead of the one by which the server goes, behind it where the number is
    negative, 0 when they agree again: it was set, or the machine stood still. Restart when it is right."""
    NODES = ("nodes", logging.INFO)
    """So many other nodes of the cluster are heard now."""
    SLOW_READER = ("slow-reader", logging.INFO)
    """A connection was cut because its node did not read; its session may be resumed."""
    INTERNAL_ERROR = ("internal-error", logging.ERROR)
    """A mistake in the server; `source` and `line` say where."""
    LINES_LOST = ("lines-lost", logging.WARNING)
    """So many lines are missing before this one: standard error took none, and no more could wait for it."""
    FOREIGN = ("foreign", logging.WARNING)
    """A library logged something."""


class Source(Enum):
    """Where an event comes from: a library, or a module of the server."""

    AIOHTTP = "aiohttp"
    ASYNCIO = "asyncio"
    SQLALCHEMY = "sqlalchemy"
    ALEMBIC = "alembic"
    PSYCOPG = "psycopg"
    ACCEPTOR = "acceptor"
    ACCOUNTS = "accounts"
    ADDRESSES = "addresses"
    ADMISSION = "admission"
    ANSWERS = "answers"
    APP = "app"
    AUTH = "auth"
    BACKEND = "backend"
    BUS = "bus"
    CALL_EXPORT = "call_export"
    CALL_MESSAGES = "call_messages"
    CALL_PRESENCE = "call_presence"
    CALL_ROWS = "call_rows"
    CALL_TOKENS = "call_tokens"
    CALLS = "calls"
    CERTIFICATES = "certificates"
    CLOCK = "clock"
    CLOCK_WATCH = "clock_watch"
    CLUSTER = "cluster"
    COMMANDS = "commands"
    CONDITION = "condition"
    CONFIG = "config"
    CONFIG_FILE = "config_file"
    CONNECTION = "connection"
    CONTROL = "control"
    CONTROL_MESSAGES = "control_messages"
    CONTROL_SERVER = "control_server"
    COUNTERS = "counters"
    COURIER = "courier"
    DATABASE = "database"
    DELETIONS = "deletions"
    DIRECTORY = "directory"
    DISTRIBUTIONS = "distributions"
    DRAIN = "drain"
    EDGE = "edge"
    ELSEWHERE = "elsewhere"
    ENDED_CALLS = "ended_calls"
    ENVELOPES = "envelopes"
    EXCHANGE = "exchange"
    EXPIRY = "expiry"
    FRAMES = "frames"
    HANDSHAKES = "handshakes"
    HELD_BACK = "held_back"
    HOUSEKEEPING = "housekeeping"
    HUB = "hub"
    JOINING = "joining"
    LANE = "lane"
    LETTERS = "letters"
    LIMITS = "limits"
    LINE_WRITER = "line_writer"
    LISTENERS = "listeners"
    LOBBY = "lobby"
    LOGINS = "logins"
    LOGS = "logs"
    MAILBOX = "mailbox"
    MESSAGES = "messages"
    METERS = "meters"
    METRICS = "metrics"
    NATS_BUS = "nats_bus"
    NATS_CONNECTION = "nats_connection"
    NATS_PROTOCOL = "nats_protocol"
    NOTIFY = "notify"
    OPEN_CALLS = "open_calls"
    OPERATOR_ERRORS = "operator_errors"
    OUTPUTS = "outputs"
    PAGES = "pages"
    PEERS = "peers"
    PLACE = "place"
    POSTGRESQL = "postgresql"
    PRIVATE_FILES = "private_files"
    PRIVATE_MEMORY = "private_memory"
    PROXIES = "proxies"
    PULSE = "pulse"
    RECHECK = "recheck"
    RECORDS = "records"
    REQUESTS = "requests"
    RETENTION = "retention"
    REVISIONS = "revisions"
    ROUTER = "router"
    SCHEMA = "schema"
    SEAL = "seal"
    SERVICES = "services"
    SESSION = "session"
    SETS = "sets"
    SETTINGS = "settings"
    SHARES = "shares"
    SOCKETS = "sockets"
    SQLITE = "sqlite"
    STAGES = "stages"
    STATE = "state"
    STATEMENTS = "statements"
    STORE_ACCESS = "store_access"
    TIMERS = "timers"
    TURN = "turn"
    TURN_CONFIG = "turn_config"
    TURN_FILES = "turn_files"
    TURN_SECRETS = "turn_secrets"
    TURN_SETTINGS = "turn_settings"
    UPGRADE = "upgrade"
    UPGRADING = "upgrading"
    VISITORS = "visitors"
    WRITER = "writer"
    OTHER = "other"


class Field(Enum):
    """What an event may say of itself: a number or a `Source`, never a text from outside."""

    SOURCE = "source"
    LINE = "line"
    LINES = "lines"
    CONNECTIONS = "connections"
    CALLS = "calls"
    SECONDS = "seconds"
    EXPIRES = "expires"
    NODES = "nodes"


LOGGED: Final[Mapping[Event, tuple[Field, ...]]] = {
    Event.STARTED: (),
    Event.DRAINING: (Field.CONNECTIONS, Field.SECONDS),
    Event.STOPPED: (Field.CALLS, Field.SECONDS),
    Event.CERTIFICATE_RELOADED: (Field.EXPIRES,),
    Event.CERTIFICATE_UNUSABLE: (Field.EXPIRES,),
    Event.STORE_FAILING: (),
    Event.STORE_WORKING: (),
    Event.FULL: (),
    Event.BUS_CONNECTED: (),
    Event.BUS_LOST: (),
    Event.BUS_REFUSED: (),
    Event.CLOCK_DIFFERS: (Field.SECONDS,),
    Event.CLOCK_AGREES: (),
    Event.CLOCK_SET: (Field.SECONDS,),
    Event.NODES: (Field.NODES,),
    Event.SLOW_READER: (),
    Event.INTERNAL_ERROR: (Field.SOURCE, Field.LINE),
    Event.LINES_LOST: (Field.LINES,),
    Event.FOREIGN: (Field.SOURCE,),
}
"""Each event with its fields, in the order in which they are written; nothing else is ever in the log."""


class LogForm(Enum):
    """How a line is written."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One line of the log.

    Args:
        event: what happened.
        fields: what it says of itself.

    Raises:
        ValueError: the event has no such field, or a value is neither a whole number nor a `Source`.
    """

    event: Event
    fields: Mapping[Field, int | Source]

    def __post_init__(self) -> None:
        for field, value in self.fields.items():
            if field not in LOGGED[self.event] or type(value) is not (Source if field is Field.SOURCE else int):
                raise ValueError(f"{self.event.name} has no such field, or not of that type")

    def words(self) -> dict[str, int | str]:
        """The fields as they are written."""
        order = [field for field in LOGGED[self.event] if field in self.fields]
        values = ((field, self.fields[field]) for field in order)
        return {field.value: value.value if isinstance(value, Source) else value for field, value in values}

    def __str__(self) -> str:
        return " ".join((self.event.value[0], *(f"{name}={value}" for name, value in self.words().items())))


def log(event: Event, fields: Mapping[Field, int | Source] | None = None) -> None:
    """Log an event with its fields."""
    _logger.log(event.value[1], LogEvent(event, fields or {}))


def log_internal_error(error: BaseException | None) -> None:
    """Log where in the server an error came from."""
    fields: dict[Field, int | Source] = {Field.SOURCE: Source.OTHER}
    trace: TracebackType | None = None if error is None else error.__traceback__
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_relative_to(_OURS):
            fields = {Field.SOURCE: _source(path.stem), Field.LINE: trace.tb_lineno}
        trace = trace.tb_next
    log(Event.INTERNAL_ERROR, fields)


def configure(form: LogForm = LogForm.TEXT) -> None:
    """Send the log to standard error in that form, bounded, and reduce what libraries log."""
    # Without standard error its number may be that of any other file.
    handler = logging.NullHandler() if sys.stderr is None else LineWriter(sys.stderr.fileno(), _lines_lost)
    handler.setFormatter(TypedFormatter(form))
    handler.addFilter(LineBound())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.raiseExceptions = False  # a handler that fails would print the record, texts and all
    # Of what nobody catches the interpreter would print a traceback, with the text of the error.
    sys.excepthook = lambda kind, error, trace: log_internal_error(error)
    threading.excepthook = lambda uncaught: log_internal_error(uncaught.exc_value)
    sys.unraisablehook = lambda uncaught: log_internal_error(uncaught.exc_value)
    for name in ("aiohttp", "asyncio", "alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.WARNING)


class TypedFormatter(logging.Formatter):
    """Writes our events, and of everything else only the level and the library.

    Args:
        form: how a line is written.
    """

    def __init__(self, form: LogForm = LogForm.TEXT) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        """One line; no text, argument or traceback of a library gets into it."""
        event = _event(record)
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        level = record.levelname.lower()
        match self._form:
            case LogForm.TEXT:
                return f"{moment} {level} {event}"
            case LogForm.JSON:
                line = {"time": moment, "level": level, "event": event.event.value[0], **event.words()}
                return json.dumps(line, separators=(",", ":"))
            case _:
                assert_never(self._form)


class LineBound(logging.Filter):
    """Lets LINES_A_MINUTE lines of each event and source pass in a minute; the others are not written."""

    def __init__(self) -> None:
        super().__init__()
        self._minute = 0
        self._lines: Counter[tuple[Event, int | Source | None]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        minute = int(record.created) // 60
        if minute != self._minute:
            self._minute = minute
            self._lines.clear()
        event = _event(record)
        kind = (event.event, event.fields.get(Field.SOURCE))
        self._lines[kind] += 1
        return self._lines[kind] <= LINES_A_MINUTE


def _lines_lost(lines: int) -> logging.LogRecord:
    """What tells that so many lines are missing."""
    event, (_, level) = LogEvent(Event.LINES_LOST, {Field.LINES: lines}), Event.LINES_LOST.value
    return _logger.makeRecord(_logger.name, level, "", 0, event, (), None)


def _event(record: logging.LogRecord) -> LogEvent:
    """Our own event; of what a library has logged, that it was that library."""
    if isinstance(record.msg, LogEvent):
        return record.msg
    return LogEvent(Event.FOREIGN, {Field.SOURCE: _source(record.name.partition(".")[0])})


def _source(name: str) -> Source:
    try:
        return Source(name)
    except ValueError:
        return Source.OTHER
