"""How often pairs are checked."""

from __future__ import annotations

import pytest

from entrenous.media.transport.pairs import Local, Pair, Remote
from entrenous.media.transport.schedule import DOUBT_INTERVAL, Schedule
from entrenous.media.transport.stun import Address


def make(*, answered: bool = False, tries: int = 0) -> Pair:
    pair = Pair(Local(is_ipv6=False), Remote(Address("192.0.2.1", 9), "host"), 0.0)
    if answered:
        pair.answered(0.0, 0.02)
    pair.tries = tries
    return pair


@pytest.mark.parametrize(("answered", "most"), [(False, 56), (True, 221)])
def test_checks_are_spaced(answered: bool, most: int) -> None:
    schedule, pair = Schedule(0.0), make(answered=answered)
    sent = sum(schedule.takes(pair, 100.0 + step / 1000) for step in range(1000))
    assert most - 2 <= sent <= most
    assert schedule.next_slot > 100.9


def test_while_connecting_a_lost_check_is_soon_repeated() -> None:
    schedule = Schedule(0.0)
    waits = [schedule.connecting(make(tries=tries)) for tries in range(100)]
    assert waits == sorted(waits)
    assert sum(waits[:12]) < 3.0
    assert waits[-1] <= 0.2


def test_in_doubt_the_pair_in_use_is_asked_most_and_the_hopeless_least() -> None:
    schedule = Schedule(0.0)
    assert schedule.in_doubt(make(answered=True), 0.0, is_used=True) < DOUBT_INTERVAL
    assert schedule.in_doubt(make(answered=True, tries=9), 60.0, is_used=True) == DOUBT_INTERVAL
    assert schedule.in_doubt(make(), 60.0, is_used=False) > DOUBT_INTERVAL


def test_regular_checks_are_spread_and_rarer_the_less_a_pair_matters() -> None:
    schedule = Schedule(0.3)
    used = [schedule.in_use(make(answered=True), -1.0) for _ in range(50)]
    assert len(set(used)) > 40
    assert 2.0 <= min(used) < max(used) <= 3.0
    warm = schedule.in_reserve(make(answered=True), is_better=False, is_warm=True)
    other = schedule.in_reserve(make(answered=True), is_better=False, is_warm=False)
    better = schedule.in_reserve(make(answered=True), is_better=True, is_warm=False)
    assert better < min(used) < warm < other
    assert schedule.in_use(make(answered=True), 5.0) < 0.2  # a move that the peer has not confirmed
    assert schedule.in_reserve(make(tries=10_000), is_better=False, is_warm=False) <= 12.0
