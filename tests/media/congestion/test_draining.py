"""Queues that run empty, and queues that others fill."""

from __future__ import annotations

from entrenous.media.congestion.draining import (
    CONTENDED_SECONDS,
    DRAIN_SECONDS,
    LONG_QUEUE,
    LONGEST_DRAIN,
    Drain,
)


def test_a_short_queue_is_left_alone() -> None:
    drain = Drain()
    drain.begin(LONG_QUEUE, 0.0)
    drain.follow(LONG_QUEUE, 0.1)
    assert not drain.active
    assert drain.share(0.3) == 1.0


def test_the_longer_the_queue_the_less_is_sent_until_it_is_gone() -> None:
    drain = Drain()
    drain.begin(0.5, 0.0)
    assert drain.share(0.5) == 0.0
    assert drain.share(DRAIN_SECONDS / 2) == 0.5
    drain.follow(0.2, 0.3)
    assert drain.active
    drain.follow(0.02, 0.5)
    assert not drain.active
    assert not drain.contended(0.5)


def test_a_queue_that_shrinks_slowly_is_ours() -> None:
    drain = Drain()
    drain.begin(0.5, 0.0)
    drain.follow(0.3, LONGEST_DRAIN + 0.1)
    assert (drain.active, drain.contended(LONGEST_DRAIN + 0.1)) == (False, False)


def test_a_queue_that_others_fill_is_left_to_loss_for_a_while() -> None:
    drain = Drain()
    drain.begin(0.5, 0.0)
    end = LONGEST_DRAIN + 0.1
    for step in range(1, 11):
        drain.follow(0.45, end * step / 10)
    assert drain.contended(end)
    drain.begin(0.5, end + 0.1)
    assert not drain.active
    later = end + CONTENDED_SECONDS
    assert not drain.contended(later)
    drain.begin(0.5, later)
    assert drain.active
