"""Queues that run empty, and queues that others fill."""

from __future__ import annotations

from entrenous.media.congestion.draining import (
    CONTENDED_SECONDS,
    DRAIN_SECONDS,
    EMPTY_QUEUE,
    GONE_SECONDS,
    LONG_QUEUE,
    LONGEST_DRAIN,
    PERSISTENCE,
    YIELDS,
    Drain,
)


def test_a_short_queue_is_left_alone() -> None:
    drain = Drain()
    drain.begin(LONG_QUEUE, 0.0)
    drain.follow(LONG_QUEUE, LONG_QUEUE, 0.1)
    assert not drain.active
    assert drain.share(0.3) == 1.0


def test_the_longer_the_queue_the_less_is_sent_until_it_is_gone() -> None:
    drain = Drain()
    drain.begin(0.5, 0.0)
    assert drain.share(0.5) == 0.0
    assert drain.share(DRAIN_SECONDS / 2) == 0.5
    drain.follow(0.2, 0.2, 0.3)
    assert drain.active
    drain.follow(0.02, 0.02, 0.5)
    assert not drain.active
    assert not drain.contended(0.5)


def test_a_queue_that_shrinks_slowly_is_ours() -> None:
    drain = Drain()
    drain.begin(0.5, 0.0)
    drain.follow(0.3, 0.3, LONGEST_DRAIN + 0.1)
    assert (drain.active, drain.contended(LONGEST_DRAIN + 0.1)) == (False, False)


def test_a_queue_that_others_fill_is_left_to_loss_for_a_while() -> None:
    drain = Drain()
    drain.begin(0.5, 0.0)
    end = LONGEST_DRAIN + 0.1
    for step in range(1, 11):
        drain.follow(0.45, 0.45, end * step / 10)
    assert drain.contended(end)
    drain.begin(0.5, end + 0.1)
    assert not drain.active
    later = end + CONTENDED_SECONDS
    assert not drain.contended(later)
    drain.begin(0.5, later)
    assert drain.active


def stay(drain: Drain, queue: float, begin: float, seconds: float, yields: int = 0) -> float:
    """A queue that does not change, during which the rate is taken down some times; when it ended."""
    for step in range(100):
        now = begin + seconds * step / 100
        if step and yields and step % (100 // yields) == 0:
            drain.begin(queue, now)
        drain.follow(queue, queue, now)
    return begin + seconds


def test_a_short_queue_that_stays_however_we_give_way_is_others() -> None:
    drain = Drain()
    now = stay(drain, 2 * EMPTY_QUEUE, 0.0, PERSISTENCE + 0.2, yields=YIELDS + 2)
    assert drain.contended(now)
    now = stay(drain, 2 * EMPTY_QUEUE, now, CONTENDED_SECONDS - 1.0)
    assert drain.contended(now)


def test_once_nobody_fills_the_queue_any_more_delay_counts_again() -> None:
    drain = Drain()
    now = stay(drain, 2 * EMPTY_QUEUE, 0.0, PERSISTENCE + 0.2, yields=YIELDS + 2)
    now = stay(drain, EMPTY_QUEUE / 2, now, GONE_SECONDS + 0.1)
    assert not drain.contended(now)


def test_a_short_queue_without_giving_way_or_that_empties_at_times_says_nothing() -> None:
    idle, emptied = Drain(), Drain()
    assert not idle.contended(stay(idle, 2 * EMPTY_QUEUE, 0.0, 5 * PERSISTENCE))
    now = 0.0
    for _ in range(5):
        now = stay(emptied, 2 * EMPTY_QUEUE, now, 0.8 * PERSISTENCE, yields=YIELDS + 2)
        now = stay(emptied, EMPTY_QUEUE / 2, now, 0.1)
    assert not emptied.contended(now)
