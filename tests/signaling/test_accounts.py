"""Accounts share their buckets among their devices, and keep them for a while after the last has gone."""

from __future__ import annotations

from entrenous_signaling.accounts import Accounts
from entrenous_signaling.limits import Bounds, Rate
from entrenous_signaling.mailbox import DeviceKey

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
