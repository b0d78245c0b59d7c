"""One part of the databases as one thread uses it: its connection, its transactions, and what fails in them."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from .backend import Backend, Part, Result
from .requests import BatchRequest, Failed, StoreRequest, StoreResult
from .stages import stages
from .statements import carry_out

Request = tuple[int, StoreRequest]
"""A ticket and what was asked with it."""
BatchItem = tuple[int, BatchRequest]
"""The same of something that is carried out in batches."""
Answer = tuple[int, StoreResult | Failed]
"""A ticket and what came of it."""

_DEADLOCK: Final = "40P01"
_SERIALIZATION_FAILURE: Final = "40001"


class Session:
    """A connection that is opened when it is needed, and again after it has failed.

    Args:
        backend: the kind of database.
        part: which half.
        writes: whether its transactions write.
    """

    def __init__(self, backend: Backend, part: Part, *, writes: bool) -> None:
        self._backend = backend
        self._part = part
        self._engine = backend.engine(part, writes=writes)
        self._connection: Connection | None = None
        self._folded = True

    def answer(self, batch: Sequence[BatchItem]) -> list[Answer]:
        """Carry out a batch in one transaction; whatever one request does, the others and the thread go on.

        When the database cannot be reached, is locked or full, all of them have failed. When it refuses something,
        the batch is halved until what it refuses is alone. Call records that several processes share take a
        transaction for each kind of request; `records` says why.
        """
        if self._part is not Part.USAGE or self._engine.dialect.name != "postgresql":
            return self._answer(batch)[0]
        answers: dict[int, StoreResult | Failed] = {ticket: Failed.FAILED for ticket, _ in batch}
        for positions in stages([request for _, request in batch]):
            some, at_hand = self._answer([batch[position] for position in positions])
            answers.update(some)
            if not at_hand:
                break  # or all would wait for it once more
        return list(answers.items())

    def _answer(self, batch: Sequence[BatchItem]) -> tuple[list[Answer], bool]:
        """Carry out a batch, and say whether the database was at hand."""
        requests = [request for _, request in batch]
        try:
            results = self._try(requests)
        except Exception as error:
            away = _is_away(error)
            if len(batch) == 1 or away:
                return [(ticket, Failed.FAILED) for ticket, _ in batch], not away
            middle = len(batch) // 2
            (first, one), (second, other) = self._answer(batch[:middle]), self._answer(batch[middle:])
            return first + second, one and other
        return [(ticket, result) for (ticket, _), result in zip(batch, results, strict=True)], True

    def transact(self, work: Callable[[Connection], Result]) -> Result:
        """Do some work in a transaction, all of it or nothing.

        Raises:
            SQLAlchemyError: the database refused.
        """
        self._folded = False
        try:
            connection = self._connected()
            with connection.begin():
                return work(connection)
        except BaseException:
            self._drop_connection()
            raise

    def give_back(self) -> Iterator[None]:
        """Return the space of what was deleted, in small steps."""
        return self._backend.give_back(self._part, self.transact)

    def fold(self) -> bool:
        """Let nothing that was deleted stay in the journal.

        Returns:
            False when another process was reading, or the database refused: try again later.
        """
        if self._folded:
            return True
        try:
            self._folded = self._backend.fold(self._connected())
        except (SQLAlchemyError, sqlite3.Error):
            self._drop_connection()
        return self._folded

    def close(self) -> None:
        """Let go of the database."""
        self._drop_connection()
        self._engine.dispose()

    def _try(self, requests: Sequence[BatchRequest]) -> list[StoreResult]:
        """Carry out a batch, a second time if another process or a broken connection was in the way.

        Every request comes to the same when it is repeated, so it does no harm if the first time was committed.
        """
        try:
            return self.transact(lambda connection: carry_out(connection, requests))
        except DBAPIError as error:
            if not _was_in_the_way(error):
                raise
            return self.transact(lambda connection: carry_out(connection, requests))

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(SQLAlchemyError, sqlite3.Error):
                connection.close()


def _is_away(error: Exception) -> bool:
    """Whether it is the database's state that is at fault, and not what was asked."""
    return isinstance(error, OperationalError | sqlite3.OperationalError) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


def _was_in_the_way(error: DBAPIError) -> bool:
    """Whether it may well be different at once: another process did the same at the same time, or the database is back.

    SQLite has one writer and no connection that breaks, so nothing there is.
    """
    state = getattr(error.orig, "sqlstate", None)
    return (
        error.connection_invalidated
        or state in {_DEADLOCK, _SERIALIZATION_FAILURE}
        or (state is not None and isinstance(error, IntegrityError))
    )
