"""Each request against a real database, and the store in memory that other tests use against the same script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from entrenous_signaling.store.database import (
    Databases,
    add_invites,
    migrate,
    open_engine,
    read_open_rows,
    read_records,
)
from entrenous_signaling.store.requests import (
    Account,
    CloseRecord,
    DeviceOutcome,
    DiscardRecord,
    OpenRecord,
    OpenRow,
    ReadAccount,
    RegisterAccount,
    RegisterOutcome,
    ReplacePrekeys,
    StoredDevice,
    StoreDevice,
    StoreRequest,
    StoreResult,
    TouchRecords,
)
from entrenous_signaling.store.statements import UsageRequest, carry_out
from world.memorystore import MemoryStore

Apply = Callable[[StoreRequest], StoreResult]


@pytest.fixture(params=["database", "memory"])
def apply(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Apply]:
    if request.param == "memory":
        store = MemoryStore()
        store.invites.add(b"invited")
        yield store.apply
        return
    files = Databases(tmp_path)
    migrate(files.usage)
    add_invites(files, [b"invited"])
    accounts, usage = open_engine(files.accounts, writes=True), open_engine(files.usage, writes=True)

    def carry(wanted: StoreRequest) -> StoreResult:
        with (usage if isinstance(wanted, UsageRequest) else accounts).begin() as connection:
            return carry_out(connection, wanted)

    yield carry
    accounts.dispose()
    usage.dispose()


def registration(
    username: str = "bob",
    device: str = "d1",
    key: bytes = b"key",
    not_after: int = 1000,
    now: int = 10,
    may_create: bool = True,
    invite: bytes | None = None,
) -> RegisterAccount:
    return RegisterAccount(
        username, key, device, b"cert " + device.encode(), (b"p1", b"p2"), not_after, may_create, invite, now
    )


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
    apply(registration(not_after=50))
    for index in range(2, 9):
        stored = apply(StoreDevice("bob", f"d{index}", b"cert", 1000, 20))
        assert stored is DeviceOutcome.STORED
    assert apply(StoreDevice("bob", "d9", b"cert", 1000, 20)) is DeviceOutcome.TOO_MANY_DEVICES
    assert apply(registration(device="d9", now=20)) is RegisterOutcome.TOO_MANY_DEVICES
    assert apply(StoreDevice("bob", "d1", b"newer", 60, 20)) is DeviceOutcome.STORED
    account = apply(ReadAccount("bob"))
    assert isinstance(account, Account)
    first = next(device for device in account.devices if device.device == "d1")
    assert first == StoredDevice("d1", b"newer", (b"p1", b"p2"))
    assert apply(StoreDevice("bob", "d9", b"cert", 1000, 60)) is DeviceOutcome.STORED


def test_prekeys_are_replaced(apply: Apply) -> None:
    apply(registration())
    apply(ReplacePrekeys("bob", "d1", (b"p3",)))
    account = apply(ReadAccount("bob"))
    assert isinstance(account, Account)
    assert account.devices[0].prekeys == (b"p3",)


def test_a_record_is_opened_touched_and_closed(tmp_path: Path) -> None:
    files = Databases(tmp_path)
    migrate(files.usage)
    engine = open_engine(files.usage, writes=True)
    with engine.begin() as connection:
        for request in (
            OpenRecord(b"a", 100),
            OpenRecord(b"a", 100),
            OpenRecord(b"b", 101),
            OpenRecord(b"c", 102),
            TouchRecords((b"a", b"unknown"), 110),
            CloseRecord(b"b", 101, 7),
            DiscardRecord(b"c"),
            CloseRecord(b"never opened", 90, 1),
        ):
            carry_out(connection, request)
    engine.dispose()
    assert read_open_rows(files) == [OpenRow(b"a", 100, 110)]
    assert list(read_records(files)) == [(90, 1), (101, 7)]


def test_any_number_of_open_records_is_touched(tmp_path: Path) -> None:
    files = Databases(tmp_path)
    migrate(files.usage)
    engine = open_engine(files.usage, writes=True)
    tokens = tuple(number.to_bytes(16, "big") for number in range(260_000))  # SQLite takes 250,000 parameters here
    with engine.begin() as connection:
        carry_out(connection, OpenRecord(tokens[-1], 100))
        carry_out(connection, TouchRecords(tokens, 110))
    engine.dispose()
    assert read_open_rows(files) == [OpenRow(tokens[-1], 100, 110)]
