"""Whoever says no more than its share is heard at once, and waits for a bounded part of what all others say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from entrenous_signaling.limits import Rate
from entrenous_signaling.shares import (
    ALONE_SECONDS,
    BYTES_A_UNIT,
    LEAST_SECONDS,
    MOST_SAVED,
    MOST_SECONDS,
    SLICE_PART,
    Line,
    Share,
    Slice,
    units,
)

RATE = Rate(per_second=100.0, burst=300.0)


@pytest.mark.parametrize(
    ("size", "expected"), [(0, 1), (BYTES_A_UNIT - 1, 1), (BYTES_A_UNIT, 2), (65_536, 1 + 65_536 // BYTES_A_UNIT)]
)
def test_long_frames_count_for_several(size: int, expected: int) -> None:
    assert units(bytes(size)) == expected


def known(rate: Rate = RATE, now: float = 0.0) -> Share:
    """The share of a connection that was let in."""
    share = Share(rate, now)
    share.let_in()
    return share


def test_a_share_is_a_tenth_of_a_second_and_comes_back_with_time() -> None:
    share = known(now=50.0)
    assert share.left(50.0) == 10
    share.spend(7)
    assert share.left(50.0) == 3
    assert share.left(50.02) == 5
    assert share.left(60.0) == 10, "nobody saves up more"


def test_what_was_said_above_the_share_is_owed_up_to_as_much_again() -> None:
    share = known()
    share.spend(1000)
    assert share.left(0.09) <= 0
    assert share.left(0.12) == 2


def test_a_stranger_says_nothing_but_in_the_line() -> None:
    share = Share(RATE, 0.0)
    share.spend(1)
    assert share.left(100.0) == 0
    share.let_in()
    assert share.left(100.1) == 10


@pytest.mark.parametrize(("per_second", "expected"), [(0.5, 1), (1e6, int(MOST_SAVED))])
def test_however_small_or_large_it_is_one_frame_fits_and_no_flood(per_second: float, expected: int) -> None:
    assert known(Rate(per_second=per_second, burst=1.0)).left(1000.0) == expected


class Loop:
    """A loop with a clock of its own."""

    def __init__(self) -> None:
        self.now = 7.0
        self.due: list[Callable[[], None]] = []
        self._line = Line(self.call_later, lambda: self.now)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        assert seconds == 0.0
        self.due.append(callback)
        return None  # type: ignore[return-value]  # nobody cancels it

    def line(self) -> Line:
        return self._line

    def turn(self, others: float = 0.0, *, is_alone: bool = False) -> float:
        """Do what is due, after the others, if there are any, took so many seconds; returns how long it took."""
        self.now += others
        self._line.others_were_heard = not is_alone
        due, self.due = self.due, []
        assert len(due) == 1, "one call, however many wait"
        began = self.now
        due[0]()
        return self.now - began


class Speaker:
    """Somebody with so much to say, each piece of which takes so long."""

    def __init__(self, name: str, loop: Loop, heard: list[str], pieces: int, takes: float, follows: float = 0) -> None:
        self._name, self._loop, self._heard, self._left = name, loop, heard, pieces
        self._takes, self._follows = takes, follows

    def hear_some(self) -> float:
        if self._left:
            self._left -= 1
            self._heard.append(self._name)
            self._loop.now += self._takes
        return self._follows

    @property
    def waits(self) -> bool:
        return self._left > 0


def test_all_who_wait_are_heard_by_turns_and_for_one_slice_in_each_turn() -> None:
    loop, heard = Loop(), list[str]()
    line = loop.line()
    for name in "abcdefgh":
        line.join(Speaker(name, loop, heard, 2, LEAST_SECONDS / 3.5))
    turns = []
    while loop.due:
        turns.append(loop.turn())
    assert "".join(heard) == 2 * "abcdefgh"
    assert turns == pytest.approx(4 * [4 / 3.5 * LEAST_SECONDS])
    line.join(Speaker("i", loop, heard, 1, 0.0))
    loop.turn()
    assert (heard[-1], loop.due) == ("i", [])


def test_the_slice_is_longer_when_others_take_long_and_has_an_end() -> None:
    loop, heard = Loop(), list[str]()
    loop.line().join(Speaker("a", loop, heard, 100_000, LEAST_SECONDS / 10))
    assert loop.turn(0.01) == pytest.approx(0.01 * SLICE_PART, rel=0.05)
    assert loop.turn(60.0) == pytest.approx(MOST_SECONDS, rel=0.05)


def test_the_slice_is_longer_when_nobody_else_says_anything() -> None:
    loop, heard = Loop(), list[str]()
    loop.line().join(Speaker("a", loop, heard, 100_000, LEAST_SECONDS / 10))
    assert loop.turn(is_alone=True) == pytest.approx(ALONE_SECONDS, rel=0.05)
    assert loop.turn() == pytest.approx(LEAST_SECONDS, rel=0.15)
    assert not loop.line().others_were_heard
    assert loop.turn(0.1, is_alone=True) == pytest.approx(MOST_SECONDS, rel=0.05)


def test_what_is_only_begun_in_a_slice_counts_there() -> None:
    loop, heard = Loop(), list[str]()
    line = loop.line()
    for name in "ab":
        line.join(Speaker(name, loop, heard, 1, 0.0, follows=LEAST_SECONDS))
    loop.turn()
    assert heard == ["a"]
    loop.turn()
    assert heard == ["a", "b"]


def test_one_who_takes_longer_than_the_slice_is_heard_and_nobody_behind_it() -> None:
    loop, heard = Loop(), list[str]()
    line = loop.line()
    for name in "ab":
        line.join(Speaker(name, loop, heard, 1, 10 * LEAST_SECONDS))
    loop.turn()
    assert heard == ["a"]


def test_who_is_gone_takes_nobody_s_time() -> None:
    loop, heard = Loop(), list[str]()
    line = loop.line()
    for _ in range(100):
        line.join(Speaker("gone", loop, heard, 0, 1.0))
    line.join(Speaker("there", loop, heard, 1, 0.0))
    loop.turn()
    assert (heard, loop.due) == (["there"], [])


def test_a_slice_that_may_be_empty_is_one_piece_of_work_and_no_more_than_its_bound() -> None:
    now = 0.0
    one = Slice(lambda: now, least=0.0, most=0.25)
    one.begin()
    assert one.is_over()
    one.wait()
    now = 100.0
    one.begin()
    now = 100.125
    assert not one.is_over()
    assert one.is_over(0.125)
