"""Large frames leave at the rate, repairs first."""

from __future__ import annotations

from itertools import pairwise

import pytest

from entrenous.media.pacer import MAX_BACKLOG, Pacer
from entrenous.media.streams import StreamKind

VIDEO, SCREEN = StreamKind.VIDEO, StreamKind.SCREEN


def leave(pacer: Pacer, now: float = 100.0) -> list[tuple[float, StreamKind, bytearray]]:
    left = []
    while not pacer.empty:
        now = max(now, pacer.free_at)
        while pacer.may_leave(now) and (turn := pacer.pop()) is not None:
            pacer.spend(len(turn[1]))
            left.append((now, *turn))
    return left


def test_a_large_frame_takes_its_time_at_the_rate_of_the_moment() -> None:
    pacer = Pacer(1_000_000)
    for _ in range(50):
        pacer.push(VIDEO, bytearray(1250))  # 10 ms each
    times = [at for at, _, _ in leave(pacer)]
    assert times[-1] - times[0] == pytest.approx(0.485, abs=0.011)
    assert all(later - earlier <= 0.0101 for earlier, later in pairwise(times))


def test_idle_time_saves_up_a_small_burst_only() -> None:
    pacer = Pacer(1_000_000)
    pacer.push(VIDEO, bytearray(100))
    leave(pacer)
    for _ in range(20):
        pacer.push(VIDEO, bytearray(1250))
    assert pacer.may_leave(200.0)
    pacer.spend(1250)
    assert not pacer.may_leave(200.0)


def test_a_repair_goes_first() -> None:
    pacer = Pacer(1_000_000)
    pacer.push(VIDEO, bytearray(b"frame"))
    pacer.push(SCREEN, bytearray(b"repair"), repair=True)
    assert [bytes(packet) for _, _, packet in leave(pacer)] == [b"repair", b"frame"]


def test_streams_share_by_weight() -> None:
    pacer = Pacer(1_000_000)
    pacer.share({VIDEO: 100_000.0, SCREEN: 300_000.0})
    for _ in range(100):
        pacer.push(VIDEO, bytearray(1000))
        pacer.push(SCREEN, bytearray(1000))
    first = [kind for _, kind, _ in leave(pacer)][:80]
    assert first.count(SCREEN) == pytest.approx(60, abs=1)


def test_a_stream_that_was_quiet_does_not_catch_up() -> None:
    pacer = Pacer(1_000_000)
    for _ in range(100):
        pacer.push(VIDEO, bytearray(1000))
    for _ in range(50):
        pacer.pop()
    for _ in range(50):
        pacer.push(SCREEN, bytearray(1000))
    first = [kind for _, kind, _ in leave(pacer)][:40]
    assert first.count(VIDEO) == pytest.approx(20, abs=1)


def test_what_waits_is_counted_with_overhead_and_bounded() -> None:
    pacer = Pacer(1_000_000, overhead=44)
    pacer.push(VIDEO, bytearray(1000))
    pacer.push(VIDEO, bytearray(500), repair=True)
    assert (pacer.waiting(VIDEO), pacer.waiting(SCREEN)) == (1588, 0)
    pacer.pop()
    assert pacer.waiting(VIDEO) == 1044
    for _ in range(MAX_BACKLOG):
        pacer.push(VIDEO, bytearray(10))
    assert (pacer.waiting(VIDEO), pacer.dropped) == (MAX_BACKLOG * 54, 1)
    pacer.drop(VIDEO)
    assert (pacer.waiting(VIDEO), pacer.empty, pacer.pop()) == (0, True, None)


def test_what_waits_is_counted_with_the_overhead_of_the_moment() -> None:
    pacer = Pacer(1_000_000, overhead=44)
    for _ in range(3):
        pacer.push(VIDEO, bytearray(1000))
    pacer.push(SCREEN, bytearray(1000), repair=True)
    pacer.overhead = 64
    assert (pacer.waiting(VIDEO), pacer.waiting(SCREEN)) == (3 * 1064, 1064)
    while pacer.pop() is not None:
        pass
    assert (pacer.waiting(VIDEO), pacer.waiting(SCREEN)) == (0, 0)
