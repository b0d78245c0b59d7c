"""Named deadlines."""

from __future__ import annotations

from entrenous_signaling.timers import Timers, earliest


def test_what_is_due_comes_in_order_and_once() -> None:
    timers: Timers[str] = Timers()
    timers.set("b", 2.0)
    timers.set("a", 1.0)
    timers.set("c", 3.0)
    assert timers.next() == 1.0
    assert list(timers.due(2.0)) == ["a", "b"]
    assert list(timers.due(2.0)) == []
    assert timers.next() == 3.0


def test_setting_again_replaces_and_cancelling_forgets() -> None:
    timers: Timers[str] = Timers()
    timers.set("a", 1.0)
    timers.set("a", 5.0)
    timers.set("b", 2.0)
    timers.cancel("b")
    timers.cancel("never set")
    assert timers.next() == 5.0
    assert list(timers.due(4.0)) == []
    assert list(timers.due(5.0)) == ["a"]
    assert timers.next() is None


def test_the_same_time_set_again_is_due_once() -> None:
    timers: Timers[str] = Timers()
    timers.set("a", 1.0)
    timers.cancel("a")
    timers.set("a", 1.0)
    assert list(timers.due(1.0)) == ["a"]


def test_what_is_set_on_the_way_is_taken_when_due() -> None:
    timers: Timers[str] = Timers()
    timers.set("a", 1.0)
    seen = []
    for name in timers.due(10.0):
        seen.append(name)
        if len(seen) < 3:
            timers.set("a", 2.0 * len(seen))
    assert seen == ["a"] * 3


def test_the_earliest_of_deadlines_is_none_only_when_all_are() -> None:
    assert earliest(None, 3.0, 2.0, None, 2.5) == 2.0
    assert earliest(0.0, None) == 0.0
    assert earliest(None, None) is None
