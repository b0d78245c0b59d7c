"""What is missing is asked for once a round trip, for a while."""

from __future__ import annotations

import pytest

from entrenous.media.nack import LEAST_HOLD, MAX_MISSING, MAX_REORDERING, MAX_REQUESTS, REORDERING, NackTracker


def tracker_missing(*missing: int, upto: int = 10) -> NackTracker:
    tracker = NackTracker()
    for sequence in range(upto + 1):
        if sequence not in missing:
            tracker.arrived(sequence, 0.0)
    return tracker


def test_nothing_is_asked_for_while_nothing_is_missing() -> None:
    tracker = tracker_missing()
    assert tracker.due(10.0, 0.05) == []
    assert tracker.next_at(0.4) is None


def test_an_overtaken_packet_gets_a_moment() -> None:
    tracker = tracker_missing(4)
    assert tracker.next_at(0.4) == REORDERING
    assert tracker.due(REORDERING / 2, 0.05) == []
    tracker.arrived(4, REORDERING / 2)
    assert tracker.due(REORDERING, 0.05) == []


def test_a_lost_packet_is_asked_for_again_after_a_round_trip() -> None:
    tracker = tracker_missing(4, 6)
    assert tracker.due(0.010, 0.05) == [4, 6]
    assert tracker.due(0.060, 0.05) == []
    tracker.arrived(4, 0.070)
    assert tracker.due(0.090, 0.05) == [6]


def test_over_a_long_way_the_first_request_is_made_twice() -> None:
    tracker = tracker_missing(4)
    asked = [ms for ms in range(10, 700) if tracker.due(ms / 1000, 0.2)]
    assert asked == pytest.approx([10, 30, 330, 630], abs=1)


def test_requests_end() -> None:
    tracker = tracker_missing(4)
    asked = [now for now in range(1, 100) if tracker.due(float(now), 0.05)]
    assert len(asked) == MAX_REQUESTS


def test_what_is_missing_too_long_is_given_up() -> None:
    tracker = tracker_missing(4, 6)
    assert tracker.given_up(0.399, 0.4) is None
    assert tracker.given_up(0.4, 0.4) == 6
    tracker.forget_before(7)
    assert len(tracker) == 0
    assert tracker.given_up(0.4, 0.4) is None


def test_the_end_of_waiting_comes_even_when_requests_are_used_up() -> None:
    tracker = tracker_missing(4)
    for now in range(1, 390):
        tracker.due(now / 1000, 0.0)
    assert tracker.next_at(0.4) == pytest.approx(0.4)


def test_a_huge_gap_is_bounded_and_given_up_at_once() -> None:
    tracker = NackTracker()
    tracker.arrived(0, 0.0)
    tracker.arrived(1_000_000, 0.0)
    assert len(tracker) == MAX_MISSING
    assert tracker.given_up(0.0, 0.4) == 999_999


def test_reordering_is_learned_from_what_comes_by_itself_and_forgotten() -> None:
    tracker = tracker_missing(4)
    tracker.arrived(4, 0.050)
    tracker.arrived(12, 0.1)
    assert tracker.next_at(0.4) == pytest.approx(0.1 + 0.060, abs=0.001)
    tracker.arrived(11, 0.101)
    tracker.arrived(14, 100.0)
    assert tracker.next_at(0.4) == pytest.approx(100.0 + REORDERING, abs=0.001)


def test_a_repair_teaches_nothing_about_reordering() -> None:
    tracker = tracker_missing(4)
    tracker.arrived(4, 0.050, repaired=True)
    tracker.arrived(12, 0.1)
    assert tracker.next_at(0.4) == pytest.approx(0.1 + REORDERING)


def test_reordering_is_waited_for_within_bounds() -> None:
    tracker = tracker_missing(4)
    tracker.arrived(4, 3.0)
    tracker.arrived(12, 3.0)
    assert tracker.next_at(0.4) == pytest.approx(3.0 + MAX_REORDERING)


@pytest.mark.parametrize(
    ("round_trip", "hold"), [(0.0, LEAST_HOLD), (0.020, LEAST_HOLD), (0.080, 0.33), (0.3, 0.4), (None, 0.4)]
)
def test_the_longer_the_way_the_longer_a_repair_is_waited_for(round_trip: float | None, hold: float) -> None:
    assert tracker_missing(4).hold(0.0, round_trip, 0.4) == pytest.approx(hold)
