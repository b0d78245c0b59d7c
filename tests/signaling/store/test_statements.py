"""Each request against real databases, and the store in memory that other tests use against the same script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from sqlalchemy import select

from entrenous_signaling.limits import MessageBounds
from entrenous_signaling.store import schema
from entrenous_signaling.store.backend import Part
from entrenous_signaling.store.database import Databases, add_invites, read_open_rows, read_records
from entrenous_signaling.store.requests import (
    WEEK_SECONDS,
    Account,
    AccountTotals,
    BatchRequest,
    ClaimRecord,
    Closed,
    CloseRecord,
    CountAccounts,
    DeleteMessages,
    DeviceOutcome,
    DiscardRecord,
    Done,
    Expire,
    MarkActive,
    MessageOutcome,
    OpenRecord,
    OpenRow,
    PrekeysOutcome,
    ReadAccount,
    ReadMessages,
    RecordState,
    RegisterOutcome,
    RemoveAccount,
    Removed,
    ReplacePrekeys,
    StoredDevice,
    StoreDevice,
    StoredMessages,
    StoreMessage,
    StoreRequest,
    SweepRecords,
    TouchRecords,
)
from entrenous_signaling.store.statements import ALONE, TOGETHER
from lab.postgres import Cluster
from world.memorystore import MemoryStore
from world.storeworld import registration, running
from world.wirenode import Account as Node

Apply = Callable[[StoreRequest], object]
Records = Callable[[], list[tuple[int, int]]]
BOB, OTHER = (Node("bob", "calls.example.org", device) for device in ("00000000000000aa", "00000000000000bb"))
NEWER = replace(BOB, not_after=2**34).certificate
BOUNDS = MessageBounds(per_receiver=4, bytes_per_receiver=100, per_sender=2)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Apply, Records]]:
    if request.param == "memory":
        memory = MemoryStore()
        memory.invites.add(b"invited")
        yield memory.apply, lambda: memory.records
        return
    databases = Databases(tmp_path)
    if request.param == "postgresql":
        cluster: Cluster = request.getfixturevalue("cluster")
        databases = Databases(tmp_path, cluster.url(cluster.empty()))
    add_invites(databases, [b"invited"])
    with running(databases) as started:
        yield started.do, lambda: list(read_records(databases))


@pytest.fixture
def apply(store: tuple[Apply, Records]) -> Apply:
    return store[0]


@pytest.fixture
def records(store: tuple[Apply, Records]) -> Records:
    """Start and duration of the closed records."""
    return store[1]


def message(
    number: int,
    sender: bytes = b"s",
    username: str = "bob",
    device: str = "d1",
    body: bytes = b"body",
    expires: int = 100,
) -> StoreMessage:
    return StoreMessage(username, device, b"id" + bytes([number]), sender, body, expires, BOUNDS)


def waiting(apply: Apply, username: str = "bob", device: str = "d1", after: int = 0, limit: int = 100) -> list[bytes]:
    found = apply(ReadMessages(username, device, after, limit))
    assert isinstance(found, StoredMessages)
    numbers = [stored.number for stored in found.messages]
    assert numbers == sorted(numbers)
    return [stored.id for stored in found.messages]


def ids(*numbers: int) -> list[bytes]:
    return [b"id" + bytes([number]) for number in numbers]


def test_every_request_is_carried_out_in_one_way() -> None:
    assert {*TOGETHER, *ALONE} == set(get_args(BatchRequest))
    assert not {*TOGETHER} & {*ALONE}


def test_an_account_is_created_found_and_kept_from_others(apply: Apply) -> None:
    assert apply(ReadAccount("bob")) is None
    assert apply(registration()) is RegisterOutcome.REGISTERED
    assert apply(ReadAccount("bob")) == Account(b"key", (StoredDevice("d1", b"cert d1", (b"p1", b"p2")),))
    assert apply(registration(key=b"other")) is RegisterOutcome.NAME_TAKEN
    assert apply(registration(device="d2", may_create=False)) is RegisterOutcome.REGISTERED
    assert apply(registration("eve", may_create=False)) is RegisterOutcome.CLOSED


def test_an_invite_is_good_for_one_account(apply: Apply) -> None:
    assert apply(registration(invite=b"guessed")) is RegisterOutcome.BAD_INVITE
    assert apply(registration(invite=b"invited")) is RegisterOutcome.REGISTERED
    assert apply(registration("eve", invite=b"invited")) is RegisterOutcome.BAD_INVITE
    assert apply(registration(device="d2", invite=b"none needed")) is RegisterOutcome.REGISTERED


def test_devices_are_bounded_renewed_and_make_room_when_they_expire(apply: Apply) -> None:
    apply(registration(not_after=50, certificate=BOB.certificate))
    for index in range(2, 9):
        stored = apply(StoreDevice("bob", b"key", f"d{index}", b"cert", 1000, 20))
        assert stored is DeviceOutcome.STORED
    assert apply(StoreDevice("bob", b"key", "d9", b"cert", 1000, 20)) is DeviceOutcome.TOO_MANY_DEVICES
    assert apply(registration(device="d9", now=20)) is RegisterOutcome.TOO_MANY_DEVICES
    assert apply(StoreDevice("bob", b"key", "d1", NEWER, 60, 20)) is DeviceOutcome.STORED
    account = apply(ReadAccount("bob"))
    assert isinstance(account, Account)
    first = next(device for device in account.devices if device.device == "d1")
    assert first == StoredDevice("d1", NEWER, (b"p1", b"p2"))
    assert apply(StoreDevice("bob", b"key", "d9", b"cert", 1000, 60)) is DeviceOutcome.STORED


def test_an_account_that_was_removed_since_it_was_looked_up_gets_no_device(apply: Apply) -> None:
    apply(registration())
    apply(RemoveAccount("bob"))
    assert apply(StoreDevice("bob", b"key", "d1", b"cert", 1000, 20)) is DeviceOutcome.NO_ACCOUNT
    assert apply(registration(key=b"another")) is RegisterOutcome.REGISTERED
    assert apply(StoreDevice("bob", b"key", "d1", b"cert", 1000, 20)) is DeviceOutcome.NO_ACCOUNT
    assert apply(StoreDevice("bob", b"another", "d1", b"cert", 1000, 20)) is DeviceOutcome.STORED


def test_a_device_that_expires_takes_its_messages_along(apply: Apply) -> None:
    apply(registration(not_after=50))
    assert apply(message(1)) is MessageOutcome.STORED
    apply(StoreDevice("bob", b"key", "d2", b"cert", 1000, 60))
    assert waiting(apply) == []
    assert apply(message(1)) is MessageOutcome.NO_DEVICE
    assert apply(CountAccounts()) == AccountTotals(1, 1, 0)


def test_a_device_that_renews_itself_after_it_has_expired_finds_what_waits_for_it(apply: Apply) -> None:
    apply(registration(not_after=50, certificate=BOB.certificate))
    assert apply(message(1)) is MessageOutcome.STORED
    assert apply(StoreDevice("bob", b"key", "d1", NEWER, 1000, 60)) is DeviceOutcome.STORED
    assert (waiting(apply), prekeys(apply)) == (ids(1), (b"p1", b"p2"))
    assert apply(registration(certificate=BOB.certificate, not_after=2000, now=1000)) is RegisterOutcome.REGISTERED
    assert waiting(apply) == ids(1)


def prekeys(apply: Apply, username: str = "bob") -> tuple[bytes, ...]:
    account = apply(ReadAccount(username))
    assert isinstance(account, Account)
    return account.devices[0].prekeys


def test_prekeys_are_replaced_by_the_key_of_their_device_only(apply: Apply) -> None:
    key, other = (bytes(node.device_key.verify_key) for node in (BOB, OTHER))
    apply(registration(certificate=BOB.certificate))
    assert apply(ReplacePrekeys("bob", "d1", key, (b"p3",))) is PrekeysOutcome.REPLACED
    assert apply(ReplacePrekeys("bob", "d1", other, (b"p4",))) is PrekeysOutcome.OTHER_KEY
    assert prekeys(apply) == (b"p3",)
    apply(StoreDevice("bob", b"key", "d1", OTHER.certificate, 1000, 20))
    assert prekeys(apply) == ()
    assert apply(ReplacePrekeys("bob", "d1", other, (b"p4", b"p5"))) is PrekeysOutcome.REPLACED
    assert apply(ReplacePrekeys("bob", "d1", key, (b"p3",))) is PrekeysOutcome.OTHER_KEY
    assert prekeys(apply) == (b"p4", b"p5")


def test_prekeys_of_a_device_that_is_gone_are_not_stored(apply: Apply) -> None:
    key = bytes(BOB.device_key.verify_key)
    assert apply(ReplacePrekeys("bob", "d1", key, (b"p3",))) is PrekeysOutcome.OTHER_KEY
    apply(registration(certificate=BOB.certificate))
    assert apply(ReplacePrekeys("bob", "d2", key, (b"p3",))) is PrekeysOutcome.OTHER_KEY
    assert prekeys(apply) == (b"p1", b"p2")


def test_messages_are_read_in_their_order_and_gone_when_deleted(apply: Apply) -> None:
    apply(registration())
    apply(registration("eve"))
    for number, sender in ((1, b"s"), (2, b"t"), (3, b"s")):
        assert apply(message(number, sender, body=b"body %d" % number)) is MessageOutcome.STORED
    assert apply(message(1, username="eve")) is MessageOutcome.STORED
    found = apply(ReadMessages("bob", "d1", 0, 2))
    assert isinstance(found, StoredMessages)
    assert [stored.id for stored in found.messages] == ids(1, 2)
    assert [stored.body for stored in found.messages] == [b"body 1", b"body 2"]
    assert waiting(apply, after=found.messages[-1].number) == ids(3)
    assert apply(DeleteMessages("bob", "d1", (*ids(3, 1), b"unknown"))) is Done.DONE
    assert waiting(apply) == ids(2)
    assert waiting(apply, "eve") == ids(1)
    assert waiting(apply, "nobody") == []


def test_a_number_is_never_given_twice(apply: Apply) -> None:
    apply(registration())
    apply(message(1))
    first = apply(ReadMessages("bob", "d1", 0, 1))
    assert isinstance(first, StoredMessages)
    apply(DeleteMessages("bob", "d1", (first.messages[0].id,)))
    apply(message(2))
    assert waiting(apply, after=first.messages[0].number) == ids(2)


def test_a_message_is_stored_once_for_a_device_that_exists(apply: Apply) -> None:
    assert apply(message(1)) is MessageOutcome.NO_DEVICE
    apply(registration())
    assert apply(message(1, device="d2")) is MessageOutcome.NO_DEVICE
    assert apply(message(1)) is MessageOutcome.STORED
    assert apply(message(1, b"t", body=b"another")) is MessageOutcome.KNOWN
    assert waiting(apply) == ids(1)


def test_messages_are_bounded_by_device_bytes_and_sender(apply: Apply) -> None:
    apply(registration())
    apply(registration(device="d2"))
    outcomes = [apply(message(number, b"s")) for number in range(3)]
    assert outcomes == [MessageOutcome.STORED, MessageOutcome.STORED, MessageOutcome.SENDER_FULL]
    assert apply(message(0, b"s")) is MessageOutcome.KNOWN
    assert apply(message(3, b"t", body=b"x" * 93)) is MessageOutcome.FULL
    assert apply(message(3, b"t", body=b"x" * 92)) is MessageOutcome.STORED
    assert apply(message(4, b"u", body=b"")) is MessageOutcome.STORED
    assert apply(message(5, b"v", body=b"")) is MessageOutcome.FULL
    assert apply(message(5, b"v", device="d2")) is MessageOutcome.STORED
    apply(DeleteMessages("bob", "d1", tuple(ids(0))))
    assert apply(message(5, b"s", body=b"")) is MessageOutcome.STORED


def test_an_account_is_removed_with_all_that_is_its_own(apply: Apply) -> None:
    apply(registration())
    apply(registration(device="d2"))
    apply(registration("eve"))
    for number, device in ((1, "d1"), (2, "d2")):
        apply(message(number, device=device))
    apply(message(3, username="eve"))
    assert apply(CountAccounts()) == AccountTotals(2, 3, 3)
    assert apply(RemoveAccount("bob")) == Removed(2, 4, 2)
    assert apply(RemoveAccount("bob")) is None
    assert apply(ReadAccount("bob")) is None
    assert apply(CountAccounts()) == AccountTotals(1, 1, 1)
    assert apply(registration(key=b"another")) is RegisterOutcome.REGISTERED
    assert waiting(apply) == []


def test_what_is_over_expires(apply: Apply, records: Records) -> None:
    apply(registration(now=30 * WEEK_SECONDS))
    apply(registration("eve", now=30 * WEEK_SECONDS))
    apply(registration("old", now=10 * WEEK_SECONDS))
    assert apply(MarkActive("eve", 50)) is Done.DONE
    assert apply(MarkActive("eve", 40)) is Done.DONE  # an earlier week changes nothing
    assert apply(MarkActive("nobody", 40)) is Done.DONE
    apply(message(1, username="eve", expires=100))
    apply(message(2, username="eve", expires=200))
    apply(message(3, expires=100_000))
    for start in (10, 20, 30):
        apply(OpenRecord(bytes([start]), start))
        apply(CloseRecord(bytes([start]), start + 1))
    assert apply(CountAccounts()) == AccountTotals(3, 3, 3)
    for _ in range(2):  # the second time there is nothing left to do
        assert apply(Expire(100, 20, 30)) is Done.DONE
        assert waiting(apply, "eve") == ids(2)
        assert records() == [(20, 1), (30, 1)]
        assert apply(ReadAccount("old")) is None
        assert apply(CountAccounts()) == AccountTotals(2, 2, 2)
    assert apply(Expire(100, 1000, 50)) is Done.DONE
    assert records() == []
    assert apply(ReadAccount("bob")) is None
    assert apply(CountAccounts()) == AccountTotals(1, 1, 1)


def test_a_record_is_opened_touched_and_closed(databases: Databases) -> None:
    script: list[tuple[StoreRequest, object]] = [
        (OpenRecord(b"a", 100), RecordState.OPEN),
        (OpenRecord(b"a", 105), RecordState.OPEN),
        (OpenRecord(b"b", 101), RecordState.OPEN),
        (OpenRecord(b"c", 102), RecordState.OPEN),
        (TouchRecords(((b"a", 110), (b"unknown", 110))), Done.DONE),
        (TouchRecords(((b"a", 109),)), Done.DONE),
        (CloseRecord(b"b", 108), Closed((7,))),
        (CloseRecord(b"b", 108), Closed(())),
        (DiscardRecord(b"c", 103), Done.DONE),
        (CloseRecord(b"c", 103), Closed(())),
        (CloseRecord(b"never opened", 91), Closed(())),
    ]
    with running(databases) as store:
        for request, outcome in script:
            assert store.do(request) == outcome
    assert read_open_rows(databases) == [OpenRow(b"a", 100, 110)]
    assert list(read_records(databases)) == [(101, 7)]


def test_a_record_is_claimed_while_it_is_open(apply: Apply) -> None:
    assert apply(ClaimRecord(b"a", 105, 0)) is RecordState.OVER
    assert apply(OpenRecord(b"a", 100)) is RecordState.OPEN
    assert apply(ClaimRecord(b"a", 105, 100)) is RecordState.OPEN
    assert apply(SweepRecords(105, 0)) == Closed(())
    assert apply(CloseRecord(b"a", 90)) == Closed((0,))  # no call lasts less than no time
    assert apply(ClaimRecord(b"a", 110, 0)) is RecordState.OVER


def test_a_claim_keeps_alive_what_was_seen_lately_and_an_end_dates_the_rest_back(apply: Apply) -> None:
    for token, claimed_at in ((b"a", 160), (b"b", 161)):
        assert apply(OpenRecord(token, 90)) is RecordState.OPEN
        assert apply(TouchRecords(((token, 100),))) is Done.DONE
        assert apply(ClaimRecord(token, claimed_at, claimed_at - 60)) is RecordState.OPEN
    assert apply(CloseRecord(b"a", 162, 100)) == Closed((72,))
    assert apply(CloseRecord(b"b", 162, 101)) == Closed((10,))


def test_a_call_that_is_over_is_not_opened_again_until_that_is_forgotten(apply: Apply) -> None:
    assert apply(OpenRecord(b"a", 100)) is RecordState.OPEN
    assert apply(CloseRecord(b"a", 307)) == Closed((207,))
    assert apply(DiscardRecord(b"b", 307)) is Done.DONE  # before anybody has opened it
    assert apply(OpenRecord(b"c", 100)) is RecordState.OPEN
    assert apply(SweepRecords(101, 307)) == Closed((0,))
    for token in (b"a", b"b"):
        assert apply(OpenRecord(token, 310)) is RecordState.OVER
        assert apply(ClaimRecord(token, 310, 0)) is RecordState.OVER
    assert apply(OpenRecord(b"c", 310)) is RecordState.OPEN  # it had been over for longer than was asked for
    assert apply(CloseRecord(b"c", 310)) == Closed((0,))
    assert apply(SweepRecords(0, 600)) == Closed(())  # when they ended is remembered to five minutes
    for token in (b"a", b"b", b"c"):
        assert apply(OpenRecord(token, 900)) is RecordState.OVER
    assert apply(SweepRecords(0, 601)) == Closed(())
    for token in (b"a", b"b", b"c"):
        assert apply(OpenRecord(token, 900)) is RecordState.OPEN


def test_when_a_call_ended_stands_beside_its_hash_to_five_minutes_only(databases: Databases) -> None:
    with running(databases) as store:
        for number, end in enumerate((100, 299, 300, 301)):
            assert store.do(OpenRecord(b"%d" % number, 90)) is RecordState.OPEN
            assert store.do(CloseRecord(b"%d" % number, end)) == Closed((end - 90,))
        assert store.do(DiscardRecord(b"d", 601)) is Done.DONE
    with databases.backend().engine(Part.USAGE, writes=False).connect() as connection:
        assert sorted(connection.scalars(select(schema.ended_call.c.ended))) == [300, 300, 300, 600, 900]


def test_what_nobody_keeps_alive_is_swept_up_and_ends_when_it_was_last_seen(apply: Apply) -> None:
    tokens = [b"%d" % number for number in range(500)]
    for token in tokens:
        apply(OpenRecord(token, 100))
    apply(TouchRecords(tuple((token, 110) for token in tokens)))
    apply(TouchRecords(((tokens[7], 120),)))
    assert apply(SweepRecords(110, 0)) == Closed(())
    assert apply(SweepRecords(120, 0)) == Closed((10,) * 499)
    assert apply(OpenRecord(tokens[0], 121)) is RecordState.OVER
    assert apply(CloseRecord(tokens[0], 121)) == Closed(())
    assert apply(CloseRecord(tokens[7], 121)) == Closed((21,))


def test_any_number_of_open_records_is_touched(databases: Databases) -> None:
    tokens = tuple(number.to_bytes(16, "big") for number in range(260_000))  # SQLite takes 250,000 parameters here
    with running(databases) as store:
        assert store.do(OpenRecord(tokens[-1], 100)) is RecordState.OPEN
        assert store.do(TouchRecords(tuple((token, 110) for token in tokens))) is Done.DONE
    assert read_open_rows(databases) == [OpenRow(tokens[-1], 100, 110)]
