"""Lost flights are sent again soon, by both ends, until the handshake has shown to be over."""

from __future__ import annotations

import itertools

from entrenous.media.transport.flights import MAX_DATAGRAMS, MAX_REPEATS, Flights


def test_a_flight_is_repeated_ever_more_slowly_and_not_for_ever() -> None:
    flights = Flights()
    assert flights.poll(0.0) == []
    flights.sent(b"hello", 0.0)
    times = []
    while flights.deadline < float("inf"):
        now = flights.deadline
        assert flights.poll(now - 0.001) == []
        assert flights.poll(now) == [b"hello"]
        times.append(now)
    assert len(times) == MAX_REPEATS
    assert times[0] <= 0.2
    assert 8.0 < times[-1] < 15.0
    gaps = [round(later - earlier, 6) for earlier, later in itertools.pairwise(times)]
    assert gaps == sorted(gaps)


def test_what_answers_the_peer_is_the_next_flight() -> None:
    flights = Flights()
    flights.sent(b"one", 0.0)
    flights.sent(b"two", 0.0)
    flights.received()
    assert flights.poll(1.0) == [b"one", b"two"]  # until something new is said, the old is repeated
    flights.sent(b"three", 1.1)
    assert flights.poll(2.0) == [b"three"]


def test_nothing_is_repeated_once_the_peer_has_finished() -> None:
    flights = Flights()
    flights.sent(b"one", 0.0)
    flights.confirmed()
    flights.sent(b"data", 0.0)
    assert flights.deadline == float("inf")
    assert flights.poll(100.0) == []


def test_a_flight_is_bounded() -> None:
    flights = Flights()
    for number in range(2 * MAX_DATAGRAMS):
        flights.sent(bytes([number]), 0.0)
    assert len(flights.poll(1.0)) == MAX_DATAGRAMS
