"""The lane between two nodes: once and in order, whatever the bus does, and bounded."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from entrenous_signaling.cluster.envelopes import FILL_BYTES
from entrenous_signaling.cluster.lane import (
    ACK_PACKETS,
    ACK_SECONDS,
    RESEND_SECONDS,
    ROOM_BYTES,
    ROOM_ENVELOPES,
    WINDOW_BYTES,
    WINDOW_PACKETS,
    Lane,
    Packet,
)

NOW = 100.0


def hand_over(sender: Lane, receiver: Lane, now: float) -> list[bytes]:
    """Everything that one has to say to the other now, over a bus that does no harm."""
    heard: list[bytes] = []
    for number, envelopes in sender.outgoing(now):
        heard += map(bytes, receiver.receive(number, sender.received, [Raw(one) for one in envelopes], now))
    return heard


def test_what_waits_travels_in_one_packet_and_is_acknowledged() -> None:
    here, there = Lane(1), Lane(1)
    here.send(b"a")
    here.send(b"bc")
    assert (here.envelopes, here.size) == (2, 3)
    assert hand_over(here, there, NOW) == [b"a", b"bc"]
    assert there.next_deadline() == NOW + ACK_SECONDS
    assert there.outgoing(NOW) == []
    assert hand_over(there, here, NOW + ACK_SECONDS) == []
    assert (here.envelopes, here.size, here.next_deadline(), there.next_deadline()) == (0, 0, None, None)


def test_an_acknowledgement_travels_with_what_is_said_anyway() -> None:
    here, there = Lane(1), Lane(1)
    here.send(b"a")
    hand_over(here, there, NOW)
    there.send(b"b")
    assert hand_over(there, here, NOW) == [b"b"]
    assert here.envelopes == 0
    assert there.next_deadline() == NOW + RESEND_SECONDS


def test_many_packets_are_acknowledged_at_once() -> None:
    here, there = Lane(1), Lane(1)
    for _ in range(ACK_PACKETS):
        here.send(b"a")
        hand_over(here, there, NOW)
    assert there.outgoing(NOW) == [Packet(0, ())]


def test_what_is_not_acknowledged_is_said_again() -> None:
    here, there = Lane(1), Lane(1)
    here.send(b"a")
    lost = here.outgoing(NOW)
    here.send(b"b")
    later = here.outgoing(NOW + 0.1)
    assert here.next_deadline() == NOW + RESEND_SECONDS, "what comes later does not put off the first"
    assert here.outgoing(NOW + RESEND_SECONDS) == [*lost, *later]
    assert here.next_deadline() == NOW + 2 * RESEND_SECONDS
    assert hand_over(here, there, NOW + 2 * RESEND_SECONDS) == [b"a", b"b"]


def test_how_long_nothing_is_acknowledged_counts_from_the_first_that_is_not_and_from_each_that_is() -> None:
    here, there = Lane(1), Lane(1)
    assert not here.is_unanswered(NOW)
    here.send(b"a")
    assert not here.is_unanswered(NOW), "it was not said yet"
    (first,) = here.outgoing(NOW)
    here.send(b"b")
    second = here.outgoing(NOW + 1)[-1]
    assert (here.is_unanswered(NOW - 0.1), here.is_unanswered(NOW)) == (False, True)
    there.receive(first.number, 0, [Raw(b"a")], NOW + 2)
    hand_over(there, here, NOW + 2.1)
    assert (here.is_unanswered(NOW + 2), here.is_unanswered(NOW + 2.1)) == (False, True)
    here.excuse(NOW + 3)
    assert (here.is_unanswered(NOW + 2.9), here.is_unanswered(NOW + 3)) == (False, True)
    there.receive(second.number, 0, [Raw(b"b")], NOW + 4)
    hand_over(there, here, NOW + 4.1)
    here.excuse(NOW + 5)
    assert not here.is_unanswered(NOW + 9)


def test_after_the_bus_was_gone_it_is_said_again_at_once() -> None:
    here = Lane(1)
    here.say_again(NOW)
    assert here.outgoing(NOW) == []
    here.send(b"a")
    lost = here.outgoing(NOW)
    here.say_again(NOW + 0.01)
    assert here.outgoing(NOW + 0.01) == lost


def test_a_packet_that_comes_early_waits_and_a_repeat_is_dropped() -> None:
    lane = Lane(1)
    assert lane.receive(2, 0, [Raw(b"2")], NOW) == []
    assert lane.next_deadline() == NOW, "a gap is told at once"
    assert lane.receive(3, 0, [Raw(b"3")], NOW) == []
    assert list(map(bytes, lane.receive(1, 0, [Raw(b"1")], NOW))) == [b"1", b"2", b"3"]
    assert lane.receive(2, 0, [Raw(b"2")], NOW) == []
    assert lane.received == 3


def test_what_is_far_beyond_the_window_is_not_kept() -> None:
    lane = Lane(1)
    assert lane.receive(WINDOW_PACKETS + 1, 0, [Raw(b"x")], NOW) == []
    for number in range(1, WINDOW_PACKETS + 1):
        assert len(lane.receive(number, 0, [Raw(b"y")], NOW)) == 1
    assert lane.received == WINDOW_PACKETS


def test_the_window_bounds_what_is_said_and_opens_again() -> None:
    here, there = Lane(1), Lane(1)
    large = bytes(FILL_BYTES)
    for _ in range(2 * WINDOW_BYTES // FILL_BYTES + 2):
        here.send(large)
    first = here.outgoing(NOW)
    assert WINDOW_BYTES <= sum(len(one) for packet in first for one in packet.envelopes) < WINDOW_BYTES + 2 * FILL_BYTES
    assert here.outgoing(NOW) == []
    for number, envelopes in first:
        there.receive(number, 0, [Raw(one) for one in envelopes], NOW)
    assert hand_over(there, here, NOW + ACK_SECONDS) == []
    assert len(hand_over(here, there, NOW + ACK_SECONDS)) == 2 * WINDOW_BYTES // FILL_BYTES + 2 - len(first)


def test_the_window_bounds_small_packets() -> None:
    here = Lane(1)
    for _ in range(WINDOW_PACKETS + 5):
        here.send(b"a")
        here.outgoing(NOW)
    assert len(here.outgoing(NOW + RESEND_SECONDS)) == WINDOW_PACKETS


def test_there_is_room_until_there_is_too_much() -> None:
    many, large = Lane(1), Lane(1)
    for _ in range(ROOM_ENVELOPES):
        assert many.has_room
        many.send(b"a")
    assert not many.has_room
    large.send(bytes(ROOM_BYTES))
    assert not large.has_room


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), loss=st.floats(0.0, 0.6), count=st.integers(0, 120))
def test_over_any_bus_everything_arrives_once_and_in_order(seed: int, loss: float, count: int) -> None:
    lots, now = random.Random(seed), NOW
    lanes = (Lane(1), Lane(1))
    heard: tuple[list[bytes], list[bytes]] = ([], [])
    said = tuple([bytes([side]) + number.to_bytes(2, "big") for number in range(count)] for side in range(2))
    waiting = [list(one) for one in said]
    flying: list[tuple[float, int, int, int, list[Raw]]] = []
    while any(waiting) or flying or any(lane.envelopes for lane in lanes):
        now += lots.uniform(0.0, 0.05)
        for side in range(2):
            while waiting[side] and lots.random() < 0.5:
                lanes[side].send(waiting[side].pop(0))
            for number, envelopes in lanes[side].outgoing(now):
                raw = [Raw(one) for one in envelopes]
                for _ in range(lots.choice((1, 1, 2))):
                    if lots.random() >= loss:
                        flying.append((now + lots.uniform(0.0, 0.3), 1 - side, number, lanes[side].received, raw))
        arrived = [one for one in flying if one[0] <= now]
        flying = [one for one in flying if one[0] > now]
        for _, side, number, ack, raw in arrived:
            heard[side].extend(map(bytes, lanes[side].receive(number, ack, raw, now)))
        assert now < NOW + 3600.0, "it does not come to rest"
    assert heard == (said[1], said[0])
