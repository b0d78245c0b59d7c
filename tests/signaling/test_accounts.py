"""Accounts share their buckets among their devices, and keep them for a while after the last has gone."""

from __future__ import annotations

from entrenous_signaling.accounts import Accounts
from entrenous_signaling.limits import Bounds, Rate
from entrenous_signaling.mailbox import DeviceKey
from entrenous_wire.messages import Ack, FetchDevices, TurnRequest
from world.hubworld import ALICE, BOB

ONE, TWO = DeviceKey("bob", "00000000000000aa"), DeviceKey("bob", "00000000000000bb")
BOUNDS = Bounds(
    account_rate=Rate(per_second=1.0, burst=10.0),
    directory_rate=Rate(per_second=1.0, burst=20.0),
    relay_rate=Rate(per_second=1.0, burst=30.0),
)


def test_devices_of_an_account_share_what_it_may_do() -> None:
    accounts = Accounts(BOUNDS)
    assert accounts.enter(ONE, 0.0) is accounts.enter(TWO, 5.0)
    assert set(accounts.devices_of("bob")) == {ONE, TWO}
    assert [account.username for account in accounts.present()] == ["bob"]


def test_what_costs_more_than_its_frame_is_charged_for_that_too() -> None:
    one = Rate(per_second=1.0, burst=1.0)
    bounds = Bounds(account_rate=Rate(per_second=1.0, burst=5.0), directory_rate=one, relay_rate=one)
    account = Accounts(bounds).enter(ONE, 0.0)
    assert account.charge(ALICE.message(1, BOB), 0.0) == 0.0
    assert account.charge(FetchDevices(request=1, address=BOB.address), 0.0) == 1.0
    assert [account.charge(TurnRequest(request=2), 0.0) for _ in range(2)] == [0.0, 1.0]
    assert [account.charge(message, 0.0) for message in (ALICE.send(2, BOB), Ack(seq=1))] == [0.0, 1.0]


def test_an_account_is_forgotten_when_its_slowest_bucket_must_be_full() -> None:
    accounts = Accounts(BOUNDS)
    account = accounts.enter(ONE, 0.0)
    accounts.leave(ONE, 100.0)
    assert not list(accounts.present())
    assert accounts.next_deadline() == 130.0
    accounts.tick(129.0)
    assert accounts.enter(ONE, 129.0) is account
    assert accounts.next_deadline() is None
    accounts.leave(ONE, 200.0)
    accounts.tick(230.0)
    assert accounts.enter(ONE, 230.0) is not account


def test_whoever_is_unknown_has_no_devices_and_leaves_nothing() -> None:
    accounts = Accounts(BOUNDS)
    accounts.leave(ONE, 0.0)
    assert accounts.devices_of("bob") == ()
    assert accounts.next_deadline() is None
