"""Repeats are dropped, and acknowledgements gathered, but not for long and not of much."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.protocol.inbox import MAX_REMEMBERED, Inbox
from entrenous_wire.limits import ACK_BYTES, ACK_MESSAGES, ACK_SECONDS, BODY_SIZES
from entrenous_wire.messages import Deliver, Kind


def message(seq: int, number: int, kind: Kind = Kind.SIGNAL, size: int = 1024) -> Deliver:
    return Deliver(
        seq=seq,
        id=number.to_bytes(16),
        sender="bob@x",
        device="b" * 16,
        call=bytes(16),
        kind=kind,
        body=bytes(size),
    )


def test_repeats_are_dropped_by_id_even_when_the_server_counts_anew() -> None:
    inbox = Inbox()
    assert inbox.arrive(message(7, 1), 0.0)
    assert not inbox.arrive(message(8, 1), 0.0)
    assert inbox.last_seq == 8
    inbox.start_afresh()
    assert inbox.last_seq == 0
    assert not inbox.arrive(message(1, 1), 0.0)
    assert inbox.last_seq == 1


def test_the_memory_is_bounded() -> None:
    inbox = Inbox()
    for number in range(MAX_REMEMBERED + 1):
        assert inbox.arrive(message(number, number), 0.0)
    assert inbox.arrive(message(0, 0), 0.0), "the oldest is forgotten"
    assert not inbox.arrive(message(0, 2), 0.0)


def test_signals_are_acknowledged_together_soon_after_the_first() -> None:
    inbox = Inbox()
    assert inbox.ack_at is None
    inbox.arrive(message(1, 1), 10.0)
    inbox.arrive(message(2, 2), 10.0 + 0.9 * ACK_SECONDS)
    assert inbox.ack_at == 10.0 + ACK_SECONDS
    assert inbox.take_ack(10.0 + 0.9 * ACK_SECONDS) is None
    assert inbox.take_ack(10.0 + ACK_SECONDS) == 2
    assert (inbox.ack_at, inbox.take_ack(99.0)) == (None, None)


def test_so_many_are_acknowledged_at_once_and_counted_anew() -> None:
    inbox = Inbox()
    for turn in range(2):
        for number in range(1, ACK_MESSAGES):
            inbox.arrive(message(number, number), float(turn))
            assert inbox.take_ack(float(turn)) is None
        inbox.arrive(message(9, 1), float(turn))
        assert inbox.take_ack(float(turn)) == 9, "a repeat counts too"


@pytest.mark.parametrize("size", BODY_SIZES)
def test_so_many_bytes_are_acknowledged_at_once(size: int) -> None:
    inbox = Inbox()
    for _ in range(2):
        taken = 0
        while inbox.take_ack(0.0) is None:
            inbox.arrive(message(1, 1, size=size), 0.0)
            taken += 1
        assert taken == min(ACK_MESSAGES, -(-ACK_BYTES // size))


@pytest.mark.parametrize("kind", [Kind.RING, Kind.ACCEPT, Kind.END])
def test_what_calls_begin_and_end_with_is_acknowledged_at_once_with_all_before(kind: Kind) -> None:
    inbox = Inbox()
    inbox.arrive(message(1, 1), 0.0)
    inbox.arrive(message(2, 2, kind), 0.001)
    assert inbox.take_ack(0.001) == 2


def test_on_a_new_connection_nothing_is_owed() -> None:
    inbox = Inbox()
    for number in range(1, ACK_MESSAGES):
        inbox.arrive(message(number, number), 0.0)
    inbox.rewind()
    assert (inbox.ack_at, inbox.last_seq) == (None, ACK_MESSAGES - 1)
    inbox.arrive(message(ACK_MESSAGES, ACK_MESSAGES), 1.0)
    assert inbox.ack_at == 1.0 + ACK_SECONDS, "what was owed before does not count"


def test_what_is_acknowledged_again_waits_for_that_but_holds_nothing_up() -> None:
    inbox = Inbox()
    inbox.arrive(message(3, 3, Kind.END), 0.0)
    assert inbox.take_ack(0.0) == 3
    inbox.acknowledge_at(5.0)
    assert (inbox.ack_at, inbox.take_ack(4.9)) == (5.0, None)
    inbox.arrive(message(4, 4), 4.0)
    assert inbox.ack_at == 4.0 + ACK_SECONDS
    inbox.acknowledge_at(9.0)
    assert inbox.take_ack(4.0 + ACK_SECONDS) == 4
    assert inbox.ack_at is None


@given(
    st.lists(
        st.tuples(
            st.floats(0.0, 1.5 * ACK_SECONDS),
            st.sampled_from([Kind.SIGNAL, Kind.SIGNAL, Kind.SIGNAL, Kind.RING, Kind.ACCEPT, Kind.END]),
            st.sampled_from(BODY_SIZES),
        ),
        max_size=40,
    )
)
def test_nothing_waits_for_long_and_in_the_end_everything_is_acknowledged(
    arrivals: list[tuple[float, Kind, int]],
) -> None:
    """Whoever takes the acknowledgement whenever it is due says each thing once, and leaves little unsaid at a time."""
    inbox, now = Inbox(), 100.0
    waiting: list[tuple[float, Deliver]] = []
    acknowledged = 0

    def take(at: float) -> None:
        nonlocal acknowledged
        seq = inbox.take_ack(at)
        if seq is not None:
            assert waiting[-1][1].seq == seq > acknowledged
            acknowledged = seq
            waiting.clear()

    for number, (pause, kind, size) in enumerate(arrivals, 1):
        while inbox.ack_at is not None and inbox.ack_at <= now + pause:
            take(inbox.ack_at)
        now += pause
        arrived = message(number, number, kind, size)
        assert inbox.arrive(arrived, now)
        waiting.append((now, arrived))
        take(now)
        assert all(one.kind is Kind.SIGNAL for _, one in waiting)
        assert len(waiting) < ACK_MESSAGES
        assert sum(len(one.body) for _, one in waiting) < ACK_BYTES
        assert inbox.ack_at == (waiting[0][0] + ACK_SECONDS if waiting else None)
    if inbox.ack_at is not None:
        take(inbox.ack_at)
    assert acknowledged == len(arrivals)
