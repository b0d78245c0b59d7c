"""What the store needs of a kind of database; `sqlite` and `postgresql` are the two kinds there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from enum import Enum
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from ..operator_errors import OperatorError

Result = TypeVar("Result")


class StoreError(OperatorError):
    """The databases cannot be used; `str()` is a sentence for the operator."""


class Part(Enum):
    """The two halves of what is kept, which nothing joins: who can be called, and that there were calls."""

    ACCOUNTS = "accounts"
    USAGE = "usage"


class Transact(Protocol):
    """Runs some work in a transaction of its own and returns what the work returns."""

    def __call__(self, work: Callable[[Connection], Result], /) -> Result: ...


class Backend(Protocol):
    """A kind of database, with what is special about it."""

    def name(self, part: Part) -> str:
        """What a sentence for the operator calls it."""
        ...

    def exists(self, part: Part) -> bool:
        """Whether there is something to read, as far as one can tell without opening it."""
        ...

    def engine(self, part: Part, *, writes: bool) -> Engine:
        """An engine on one part; each of its connections belongs to one thread.

        Args:
            part: which half.
            writes: whether its transactions write; a SQLite file is created then when it is not there.
        """
        ...

    def is_settled(self, part: Part, connection: Connection) -> bool:
        """Whether nothing is left to do that `migration` does around the steps, which may have been interrupted."""
        ...

    def migration(self, part: Part, connection: Connection) -> AbstractContextManager[None]:
        """What has to be around the steps of a migration: one process at a time takes them."""
        ...

    def fold(self, connection: Connection) -> bool:
        """Let nothing that was deleted stay in a journal that this program can empty.

        Returns:
            False when somebody was reading: try again later.
        """
        ...

    def give_back(self, part: Part, transact: Transact) -> Iterator[None]:
        """Return the space of what was deleted to the operating system, in small steps with a pause after each.

        Args:
            part: which half.
            transact: runs work on the connection that writes that part.
        """
        ...

    def indiscretions(self, connection: Connection) -> list[tuple[str, str]]:
        """Settings of the database by which its own log would quote what is stored, each with a value that does not."""
        ...

    def close(self) -> None:
        """End what `give_back` has begun and what goes on beside the store's threads."""
        ...


def explain(error: SQLAlchemyError) -> str:
    """The reason that the database gave, without the statement and its values."""
    reason = getattr(error, "orig", None)
    # What PostgreSQL says beside the first sentence quotes rows.
    first = getattr(getattr(reason, "diag", None), "message_primary", None)
    return str(first or reason or "the database refused.")
