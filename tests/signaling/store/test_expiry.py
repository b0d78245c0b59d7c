"""Housekeeping in small steps."""

from __future__ import annotations

from entrenous_signaling.limits import MessageBounds
from entrenous_signaling.store.backend import Part
from entrenous_signaling.store.database import Databases, count, migrate, opened, read_records
from entrenous_signaling.store.expiry import expire
from entrenous_signaling.store.requests import (
    AccountTotals,
    CloseRecord,
    Expire,
    OpenRecord,
    StoreMessage,
)
from entrenous_signaling.store.session import Session
from world.storeworld import registration


def test_much_is_deleted_some_at_a_time_and_nothing_that_may_stay(databases: Databases) -> None:
    migrate(databases)
    backend = databases.backend()
    accounts, usage = (Session(backend, part, writes=True) for part in Part)
    bounds = MessageBounds(per_receiver=1000, per_sender=1000)
    accounts.answer([(0, registration()), (0, registration("eve", now=2**31))])
    messages = [StoreMessage("eve", "d1", b"%d" % number, b"tag", b"", number // 10, bounds) for number in range(900)]
    accounts.answer([(0, message) for message in messages])
    usage.answer([(0, OpenRecord(b"%d" % number, number)) for number in range(500)])
    usage.answer([(0, CloseRecord(b"%d" % number, number + 1)) for number in range(500)])
    left = []
    for _ in expire(accounts, usage, Expire(now=69, records_before=450, inactive_before_week=1)):
        left.append((count(databases).messages, len(list(read_records(databases)))))
    assert left[:4] == [(700, 500), (500, 500), (300, 500), (200, 500)]
    assert {records for _, records in left} == {500, 300, 100, 50}
    assert count(databases) == AccountTotals(1, 1, 200)
    assert list(read_records(databases)) == [(start, 1) for start in range(450, 500)]
    if not databases.url:
        for part in Part:
            with opened(backend, part, writes=False) as connection:
                assert connection.exec_driver_sql("PRAGMA freelist_count").scalar() == 0, "space was given back"
    for session in (accounts, usage):
        session.close()
    backend.close()
