"""Who is let in, and how those who are not spread, under simulated time."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from entrenous_signaling.addresses import BUSY_SECONDS, KEY_BYTES
from entrenous_signaling.admission import RETRY_SECONDS, SPARE_SOCKETS, SPREAD_SECONDS, Admission, TurnedAway
from entrenous_signaling.limits import Bounds, Rate
from entrenous_signaling.meters import UpgradeRefusal
from entrenous_signaling.proxies import TrustedProxies

USUAL = Bounds()


def admission(bounds: Bounds = USUAL, *, most: int = 10, lot: float = 0.0, proxies: str = "::1") -> Admission:
    trusted = TrustedProxies.parse([proxies])
    return Admission(bounds, most, proxies=trusted, key=bytes(KEY_BYTES), draw=lambda: lot, now=0.0)


def turned_away(doors: Admission, *, peer: str = "192.0.2.1", connections: int = 0, now: float = 0.0) -> TurnedAway:
    with pytest.raises(TurnedAway) as said:
        doors.admit(peer, (), connections, now)
    return said.value


def test_a_full_server_and_one_that_goes_down_have_no_place() -> None:
    doors = admission()
    assert doors.has_place(9)
    assert not doors.has_place(10)
    assert turned_away(doors, connections=10).reason is UpgradeRefusal.FULL
    doors.start_draining(7.0, 0.0)
    assert doors.is_draining
    assert not doors.has_place(0)
    full = turned_away(doors, now=1.0)
    assert (full.reason, full.retry_after) == (UpgradeRefusal.DRAINING, 6 + RETRY_SECONDS)
    assert turned_away(doors, now=9.0).retry_after == RETRY_SECONDS


def test_an_address_has_its_own_bounds_and_gives_back_what_it_took() -> None:
    doors = admission(Bounds(address_connections=1))
    origin = doors.admit("192.0.2.1", (), 0, 0.0)
    assert origin is not None
    refused = turned_away(doors)
    assert (refused.reason, refused.retry_after) == (UpgradeRefusal.ADDRESS, BUSY_SECONDS)
    assert doors.admit("192.0.2.2", (), 1, 0.0) is not None
    origin.disconnect()
    assert doors.admit("192.0.2.1", (), 1, 0.0) is origin


def test_behind_a_proxy_the_client_counts_and_nobody_else_is_believed() -> None:
    doors = admission(Bounds(address_connections=1))
    assert doors.admit("::1", ["192.0.2.66, 192.0.2.1"], 0, 0.0) is not None
    assert turned_away(doors).reason is UpgradeRefusal.ADDRESS
    assert doors.admit("198.51.100.7", ["192.0.2.2"], 0, 0.0) is not None
    assert doors.admit("192.0.2.2", (), 0, 0.0) is not None
    assert doors.admit("::1", (), 0, 0.0) is doors.admit("", (), 0, 0.0) is None


def test_sockets_are_bounded_in_all_and_by_address() -> None:
    doors = admission(Bounds(address_connections=1), most=10)
    assert doors.open_socket("", 10 + SPARE_SOCKETS - 1, 0.0) is None
    with pytest.raises(TurnedAway) as full:
        doors.open_socket("", 10 + SPARE_SOCKETS, 0.0)
    assert full.value.reason is UpgradeRefusal.FULL
    origin = doors.open_socket("192.0.2.1", 0, 0.0)
    assert origin is doors.admit("192.0.2.1", (), 0, 0.0)
    with pytest.raises(TurnedAway) as deaf:
        for _ in range(1000):
            doors.open_socket("192.0.2.1", 0, 0.0)
    assert deaf.value.reason is UpgradeRefusal.ADDRESS
    assert doors.open_socket("192.0.2.2", 0, 0.0) is not None


def test_a_crowd_takes_nothing_from_the_addresses_it_comes_from() -> None:
    bounds = Bounds(connecting_rate=Rate(per_second=1.0, burst=1.0), address_connections=1)
    doors = admission(bounds)
    assert doors.admit("", (), 0, 0.0) is None
    assert turned_away(doors).reason is UpgradeRefusal.CROWD
    assert doors.admit("192.0.2.1", (), 0, 1.0) is not None


def test_who_is_turned_away_from_one_address_takes_nothing_from_the_crowd() -> None:
    bounds = Bounds(connecting_rate=Rate(per_second=1.0, burst=2.0), address_connections=1)
    doors = admission(bounds)
    doors.admit("192.0.2.1", (), 0, 0.0)
    for _ in range(5):
        assert turned_away(doors).reason is UpgradeRefusal.ADDRESS
    assert doors.admit("192.0.2.2", (), 1, 0.0) is not None


def test_those_turned_away_in_one_moment_are_spread_over_the_seconds() -> None:
    lots = random.Random(7)
    doors = Admission(Bounds(), 1, proxies=TrustedProxies(), key=bytes(KEY_BYTES), draw=lots.random, now=0.0)
    told = Counter(turned_away(doors, connections=1).retry_after for _ in range(16_000))
    assert set(told) == {int(RETRY_SECONDS) + more for more in range(SPREAD_SECONDS + 1)}
    assert max(told.values()) < 1.2 * min(told.values())


@pytest.mark.parametrize(("drain", "spread"), [(0.0, 0), (0.1, 1), (8.0, 8), (60.0, SPREAD_SECONDS)])
def test_nodes_come_back_no_faster_than_they_were_sent_away_and_few_need_not_wait(drain: float, spread: int) -> None:
    told = []
    for lot in (0.0, 0.999):
        doors = admission(lot=lot)
        doors.start_draining(drain, 100.0)
        told.append(turned_away(doors, now=100.0 + drain).retry_after)
    assert told == [RETRY_SECONDS, RETRY_SECONDS + spread]
