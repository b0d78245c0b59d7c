"""The replay window against a plain set of everything that was seen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from entrenous.crypto.replay import ReplayWindow, Seen


@given(st.lists(st.integers(0, 300), max_size=200))
def test_it_agrees_with_a_set_of_all_counters(counters: list[int]) -> None:
    window = ReplayWindow(64)
    seen: set[int] = set()
    for counter in counters:
        highest = max(seen, default=-1)
        expected = Seen.TOO_OLD if counter <= highest - 64 else Seen.REPEATED if counter in seen else Seen.FRESH
        assert window.state(counter) is expected
        if expected is Seen.FRESH:
            window.commit(counter)
            seen.add(counter)


def test_asking_changes_nothing() -> None:
    window = ReplayWindow(8)
    window.commit(5)
    for _ in range(3):
        assert window.state(100) is Seen.FRESH
        assert window.state(4) is Seen.FRESH
        assert window.state(5) is Seen.REPEATED


def test_a_jump_to_the_end_of_the_counters_takes_no_memory() -> None:
    window = ReplayWindow(8)
    window.commit(0)
    window.commit(2**64 - 1)
    assert window.state(0) is Seen.TOO_OLD
    assert window.state(2**64 - 8) is Seen.FRESH
    assert window.state(2**64 - 9) is Seen.TOO_OLD
