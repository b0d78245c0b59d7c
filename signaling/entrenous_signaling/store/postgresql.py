"""PostgreSQL: a schema a part in one database, for several servers that share it.

Acknowledged means flushed to its disk, whatever the database's own settings say about `synchronous_commit`. Whoever
waits for it waits for seconds and not longer: a server that does not answer is given up and tried anew.

Deleted rows are not overwritten as in SQLite: their bytes stay in the table until VACUUM has been there and the space
was used again, and in the write-ahead log until its segments are recycled (as well as in archives and on replicas, if
the operator keeps some). The tables in which rows come and go are set to be vacuumed early, and housekeeping runs a
VACUUM of its own. Nothing of the rows is noted for the planner, where it would outlive them. Operators who need deleted
to mean overwritten use SQLite, or an encrypted volume.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import psycopg
import psycopg.errors
from psycopg.abc import PQGen
from psycopg.rows import TupleRow
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from . import schema
from .backend import Part, StoreError, Transact

_CONNECT_SECONDS: Final = 3
_ANSWER_SECONDS: Final = 5.0
"""After which a server that is connected and does not answer is given up."""
_CANCEL_SECONDS: Final = 0.2
"""Between two attempts to end a VACUUM when the server goes down."""
_PAUSE_SECONDS: Final = 1.0
"""For which a server that could not be reached is not tried again, so that what waits is refused without delay."""
_MIGRATION_LOCK: Final = 0x656E7472  # any number that all processes of this program agree about

_SETTINGS: Final = {
    "synchronous_commit": "on",
    # Whoever has waited for a lock sees what was committed meanwhile, whatever the operator has set for others.
    "default_transaction_isolation": "read committed",
    # Longer than PostgreSQL waits before it looks for a deadlock (deadlock_timeout): a batch that was in one is tried
    # again at once, and one that has waited in vain is refused.
    "lock_timeout": "2s",
    "statement_timeout": "4s",
    "idle_in_transaction_session_timeout": "10s",
    # Every statement of the store finds its few rows by an index. What the planner would know about tables that are
    # mostly empty and change thousands of times a second is wrong by the time it uses it.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
}

_DISCREET: Final = {
    "log_error_verbosity": "terse",  # the DETAIL of an error quotes the row
    "log_statement": "none",  # what others would write, they write with the values
    "log_min_duration_statement": "-1",
    "log_min_duration_sample": "-1",
    "log_transaction_sample_rate": "0",
    "log_parameter_max_length_on_error": "0",
    "auto_explain.log_min_duration": "-1",
    "pgaudit.log": "none",
}
"""Settings of PostgreSQL's own log, and of what others add to it, with which it quotes nothing that is stored."""
_ALSO_DISCREET: Final = {("log_statement", "ddl")}

_SAMPLED: Final = """
    SELECT attrelid::regclass::text, quote_ident(attname) FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = %(schema)s::regnamespace AND relkind = 'r'
    AND attnum > 0 AND NOT attisdropped AND COALESCE(attstattarget, -1) <> 0
"""

_SECRET: Final = b"*"
"""How libpq marks the options that nobody should see: `password`, `sslpassword`, and what later versions add."""

_SET: Final = "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS settings (name, value)"

Answered = TypeVar("Answered")


class PostgresSchemas:
    """The schemas in a database.

    Args:
        url: `postgresql://user@host:port/database`, as libpq understands it, without a password.
        password: for it; without one libpq looks where PGPASSFILE says.

    Raises:
        StoreError: the URL cannot be understood, or has a password in it, be it the user's or that of a key.
    """

    def __init__(self, url: str, password: str | None = None) -> None:
        self._url = url
        self._password = password
        self._closed = threading.Event()
        self._vacuuming: threading.Thread | None = None
        self._vacuum_connection: _Connection | None = None
        self._not_before = 0.0
        try:
            options = psycopg.pq.Conninfo.parse(url.encode())
        except psycopg.OperationalError:
            raise StoreError("The database has to be given as postgresql://user@host:port/database.") from None
        if any(option.val is not None and option.dispchar == _SECRET for option in options):
            raise StoreError(
                "The database's address holds a password, where others can read it: keep it in a file of its own "
                "(database_password_file, or PGPASSFILE); the key of a certificate (sslkey) has to do without one."
            )
        (database,) = (option.val for option in options if option.keyword == b"dbname")
        self._name = f"the PostgreSQL database {(database or b'').decode()}".rstrip()

    def name(self, part: Part) -> str:
        """The name of the database, without host and user."""
        return self._name

    def exists(self, part: Part) -> bool:
        """Only opening it tells."""
        return True

    def engine(self, part: Part, *, writes: bool) -> Engine:
        """An engine on one schema."""
        settings = {**_SETTINGS, "search_path": part.value, "default_transaction_read_only": "off" if writes else "on"}
        return create_engine(
            "postgresql+psycopg://", creator=lambda: self._connect(settings), poolclass=NullPool, hide_parameters=True
        )

    def is_settled(self, part: Part, connection: Connection) -> bool:
        """Whether nothing is noted of any column for the planner."""
        return connection.exec_driver_sql(_SAMPLED, {"schema": part.value}).first() is None

    @contextmanager
    def migration(self, part: Part, connection: Connection) -> Iterator[None]:
        """Make the schema, and let other processes wait that would take the same steps, however long those take."""
        driver = connection.connection.driver_connection
        if not isinstance(driver, _Connection):
            raise TypeError("this is no connection to PostgreSQL")
        driver.patience = None
        connection.exec_driver_sql("SET statement_timeout = 0")
        connection.exec_driver_sql("SET lock_timeout = 0")
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({_MIGRATION_LOCK})")
        connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {part.value}")
        connection.commit()
        yield  # the lock ends with the connection
        _keep_no_samples(part, connection)

    def fold(self, connection: Connection) -> bool:
        """Its write-ahead log is the database's own."""
        return True

    def give_back(self, part: Part, transact: Transact) -> Iterator[None]:
        """Begin a VACUUM, which waits for nobody and which nobody waits for."""
        if part is Part.ACCOUNTS and (self._vacuuming is None or not self._vacuuming.is_alive()):
            self._vacuuming = threading.Thread(target=self._vacuum, name="store-vacuum")
            self._vacuuming.start()
        yield

    def indiscretions(self, connection: Connection) -> list[tuple[str, str]]:
        """What its log would say beyond the first sentence of an error."""
        shown = text("SELECT name, setting FROM pg_settings WHERE name = ANY(:names)")
        settings = connection.execute(shown, {"names": list(_DISCREET)})
        return sorted(
            (name, _DISCREET[name])
            for name, value in settings
            if value != _DISCREET[name] and (name, value) not in _ALSO_DISCREET
        )

    def close(self) -> None:
        """End a VACUUM that goes on."""
        self._closed.set()
        thread = self._vacuuming
        while thread is not None and thread.is_alive():
            if self._vacuum_connection is not None:
                with contextlib.suppress(psycopg.Error):
                    self._vacuum_connection.cancel_safe(timeout=_ANSWER_SECONDS)
            thread.join(_CANCEL_SECONDS)

    def _vacuum(self) -> None:
        tables = [
            f"{part.value}.{table.name}"
            for part, metadata in ((Part.ACCOUNTS, schema.ACCOUNTS), (Part.USAGE, schema.USAGE))
            for table in metadata.sorted_tables
        ]
        # Whatever keeps it from its work: autovacuum does the same, and the next housekeeping comes within the hour.
        with contextlib.suppress(psycopg.Error), self._connect({"lock_timeout": "1s"}) as connection:
            connection.patience = None
            connection.autocommit = True
            self._vacuum_connection = connection
            for table in tables:
                if not self._closed.is_set():
                    connection.execute(f"VACUUM (SKIP_LOCKED) {table}".encode())
        self._vacuum_connection = None

    def _connect(self, settings: dict[str, str]) -> _Connection:
        if time.monotonic() < self._not_before:
            raise psycopg.OperationalError("the database could not be reached a moment ago")
        try:
            connection = _Connection.connect(
                self._url,
                password=self._password,
                connect_timeout=_CONNECT_SECONDS,
                keepalives_idle=_CONNECT_SECONDS,
                keepalives_interval=1,
                keepalives_count=3,
                tcp_user_timeout=int(_ANSWER_SECONDS * 1000),
                application_name="entrenous-signaling",
            )
            try:
                connection.execute(_SET, (list(settings), list(settings.values())))
                connection.commit()
            except BaseException:
                connection.close()
                raise
        except psycopg.Error:
            self._not_before = time.monotonic() + _PAUSE_SECONDS
            raise
        return connection


def _keep_no_samples(part: Part, connection: Connection) -> None:
    """Let ANALYZE look at no column: what it notes of the rows for the planner would outlive them."""
    columns = connection.exec_driver_sql(_SAMPLED, {"schema": part.value}).all()
    for table, column in columns:
        connection.exec_driver_sql(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS 0")
    connection.commit()


class _Connection(psycopg.Connection[TupleRow]):
    """A connection that waits for an answer as long as `patience` says (seconds; None: without end)."""

    patience: float | None = _ANSWER_SECONDS

    def wait(self, gen: PQGen[Answered], interval: float = 0.1, timeout: float | None = None) -> Answered:
        """Wait for the server.

        Raises:
            psycopg.OperationalError: it did not answer in time; the connection is of no use any more.
        """
        try:
            return super().wait(gen, interval, self.patience if timeout is None else timeout)
        except psycopg.errors._WaitTimeout:
            self.pgconn.finish()
            raise psycopg.OperationalError("the database does not answer") from None
