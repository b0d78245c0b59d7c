"""Large frames leave at the rate, repairs first."""

from __future__ import annotations

from itertools import pairwise

import pytest

from entrenous.media.pacer import MAX_BACKLOG, Pacer


def drain(pacer: Pacer, now: float = 100.0) -> list[tuple[float, bytes]]:
    left = []
    while (next_at := pacer.next_at()) is not None:
        now = max(now, next_at)
        left += [(now, packet) for packet in pacer.due(now)]
    return left


def test_a_large_frame_takes_its_time() -> None:
    pacer = Pacer(1_000_000)
    for _ in range(50):
        pacer.push(bytes(1250))  # 10 ms each
    left = drain(pacer)
    assert len(left) == 50
    assert left[-1][0] - left[0][0] == pytest.approx(0.485, abs=0.011)
    assert all(later[0] - earlier[0] <= 0.0101 for earlier, later in pairwise(left))


def test_a_small_frame_leaves_at_once() -> None:
    pacer = Pacer(1_000_000)
    pacer.push(bytes(500))
    assert pacer.due(100.0) == [bytes(500)]
    assert pacer.next_at() is None


def test_repairs_overtake() -> None:
    pacer = Pacer(1_000_000)
    pacer.push(b"frame" * 200)
    pacer.push(b"frame" * 200)
    assert len(pacer.due(100.0)) == 1
    pacer.push(b"repair", repair=True)
    assert [packet for _, packet in drain(pacer)] == [b"repair", b"frame" * 200]


def test_the_backlog_is_in_seconds_and_bounded() -> None:
    pacer = Pacer(1_000_000)
    for _ in range(10):
        pacer.push(bytes(1250))
    assert pacer.backlog == pytest.approx(0.1)
    for _ in range(2 * MAX_BACKLOG):
        pacer.push(bytes(1250))
    assert pacer.backlog == pytest.approx(MAX_BACKLOG * 0.01)
    drain(pacer)
    assert pacer.backlog == 0.0


def test_idle_time_saves_up_nothing_but_a_small_burst() -> None:
    pacer = Pacer(1_000_000)
    pacer.push(bytes(100))
    pacer.due(100.0)
    for _ in range(20):
        pacer.push(bytes(1250))
    assert len(pacer.due(200.0)) == 1
