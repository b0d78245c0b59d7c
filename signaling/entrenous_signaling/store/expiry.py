"""Housekeeping: deletes what nobody may keep any longer, in steps so small that nobody waits for them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Final

from sqlalchemy import Connection, delete, select, update

from . import schema
from .records import close_stale_records, forget_ended_calls
from .requests import WEEK_SECONDS, Closed, Expire, RemoveAccount, SweepRecords
from .session import Session
from .statements import remove_account

_ROWS_A_STEP: Final = 200


def expire(accounts: Session, usage: Session, request: Expire) -> Generator[None, None, None]:
    """Delete what has expired and give its space back; each step is a transaction.

    Args:
        accounts, usage: what writes the two parts.
        request: what has to go.

    Raises:
        SQLAlchemyError: the database refused a step; the earlier ones are done.
    """
    yield from _until_none(accounts, lambda connection: _messages(connection, request.now))
    accounts.transact(lambda connection: _begin_weeks(connection, request.now // WEEK_SECONDS))
    yield from _until_none(accounts, lambda connection: _inactive(connection, request.inactive_before_week))
    yield from _until_none(usage, lambda connection: _records(connection, request.records_before))
    yield from accounts.give_back()
    yield from usage.give_back()


def sweep(usage: Session, request: SweepRecords) -> Generator[None, None, Closed]:
    """Close the records that nobody keeps alive, and forget calls that are long over; each step is a transaction.

    Args:
        usage: what writes the records.
        request: how long ago.

    Raises:
        SQLAlchemyError: the database refused a step; the earlier ones are done.
    """
    durations: list[int] = []
    while some := usage.transact(lambda connection: close_stale_records(connection, request.seen_before)):
        durations += some
        yield
    yield from _until_none(usage, lambda connection: forget_ended_calls(connection, request.ended_before))
    return Closed(tuple(durations))


def _until_none(session: Session, step: Callable[[Connection], int]) -> Iterator[None]:
    """Repeat a step, which says how much it has deleted, until it finds nothing."""
    while session.transact(step):
        yield


def _messages(connection: Connection, now: int) -> int:
    message = schema.message
    over = select(message.c.number).where(message.c.expires <= now).limit(_ROWS_A_STEP)
    return connection.execute(delete(message).where(message.c.number.in_(over))).rowcount


def _begin_weeks(connection: Connection, week: int) -> None:
    account = schema.account
    connection.execute(update(account).where(account.c.active_week.is_(None)).values(active_week=week))


def _inactive(connection: Connection, before: int) -> int:
    account = schema.account
    # One after the other: with an account, thousands of messages may go. One that another process is just noting as
    # used is left alone.
    unused = select(account.c.username).where(account.c.active_week < before).limit(1)
    name = connection.scalar(unused.with_for_update(skip_locked=True))
    if name is None:
        return 0
    remove_account(connection, RemoveAccount(name))
    return 1


def _records(connection: Connection, before: int) -> int:
    record = schema.call_record
    over = record.c.start < before
    oldest = select(record.c.start).where(over).order_by(record.c.start)
    last = connection.scalar(oldest.offset(_ROWS_A_STEP - 1).limit(1))
    if last is not None:
        over = record.c.start <= last
    return connection.execute(delete(record).where(over)).rowcount
