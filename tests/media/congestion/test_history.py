"""Feedback matched with what was sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.media.congestion.history import REMEMBERED_PACKETS, REMEMBERED_SECONDS, SendHistory
from entrenous.media.feedback import REFERENCE_TICKS, TICK, TransportFeedback


def sent(count: int, *, size: int = 100) -> SendHistory:
    history = SendHistory()
    for number in range(count):
        assert history.next_number == number & 0xFFFF
        history.add(number * 0.001, size)
    return history


def test_arrivals_are_told_with_their_departures() -> None:
    history = SendHistory()
    history.add(1.0, 100)
    history.add(1.1, 200, probe=7)
    outcome = history.match(TransportFeedback(0, 0, 10, (4, 8)))
    begin = 10 * REFERENCE_TICKS * TICK
    assert [(each.sent_at, each.size, each.probe) for each in outcome.arrivals] == [(1.0, 100, None), (1.1, 200, 7)]
    assert [each.arrived_at for each in outcome.arrivals] == pytest.approx([begin + 4 * TICK, begin + 8 * TICK])


def test_each_packet_is_told_once() -> None:
    history = sent(3)
    assert len(history.match(TransportFeedback(0, 0, 0, (1, 2, 3))).arrivals) == 3
    again = history.match(TransportFeedback(0, 1, 0, (1, 2, 3)))
    assert (again.arrivals, list(again.missing)) == ([], [])


def test_what_was_missing_may_come_late() -> None:
    history = sent(3)
    first = history.match(TransportFeedback(0, 0, 0, (1, None, 3)))
    assert (len(first.arrivals), len(first.missing), first.late) == (2, 1, 0)
    assert list(history.match(TransportFeedback(1, 1, 0, (None,))).missing) == []
    second = history.match(TransportFeedback(1, 2, 0, (5,)))
    assert (len(second.arrivals), list(second.missing), second.late) == (1, [], 1)


def test_numbers_wrap() -> None:
    history = sent(70_000)
    base = 69_998 & 0xFFFF
    outcome = history.match(TransportFeedback(base, 0, 0, (1, 2)))
    assert [each.sent_at for each in outcome.arrivals] == pytest.approx([69.998, 69.999])


def test_the_reference_of_the_receiver_wraps() -> None:
    history = sent(2)
    before = history.match(TransportFeedback(0, 0, 0xFF_FFFF, (0,))).arrivals[0]
    after = history.match(TransportFeedback(1, 1, 0, (0,))).arrivals[0]
    assert after.arrived_at - before.arrived_at == pytest.approx(REFERENCE_TICKS * TICK)


def test_what_is_under_way_is_known() -> None:
    history = sent(3)
    assert history.in_flight_since == 0.0
    history.match(TransportFeedback(0, 0, 0, (1, None)))
    assert history.in_flight_since == pytest.approx(0.002)
    history.match(TransportFeedback(2, 1, 0, (1,)))
    assert history.in_flight_since is None
    history.add(9.0, 1)
    assert history.in_flight_since == 9.0


def test_memory_is_bounded() -> None:
    history = sent(REMEMBERED_PACKETS + 5)
    assert history.match(TransportFeedback(4, 0, 0, (1, 2))).arrivals[0].sent_at == pytest.approx(0.005)
    old = SendHistory()
    old.add(0.0, 1)
    old.add(REMEMBERED_SECONDS + 0.1, 1)
    assert len(old.match(TransportFeedback(0, 0, 0, (1, 1))).arrivals) == 1


@given(st.integers(0, 300), st.integers(0, 0xFFFF), st.lists(st.none() | st.integers(-40_000, 40_000), min_size=1))
def test_whatever_a_peer_reports_only_what_was_sent_is_told(count: int, base: int, arrivals: list[int | None]) -> None:
    history = sent(count)
    outcome = history.match(TransportFeedback(base, 0, 0, tuple(arrivals)))
    assert len(outcome.arrivals) + len(outcome.missing) <= count
    assert outcome.late == 0
