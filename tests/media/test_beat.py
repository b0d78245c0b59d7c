"""The beat of sound: steady whatever the source does, close behind it, and never a burst of old beats."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous.media.beat import MARGIN, MAX_CATCH_UP, MAX_RETURN, Beat

BLOCK = 0.020


def play(arrivals: Callable[[int], float], blocks: int, begin: float = 100.0) -> list[tuple[float, float]]:
    """When each block leaves that arrives at `begin + arrivals(number)`, and how long it has waited."""
    beat, sent = Beat(begin), []
    for number in range(blocks):
        arrived_at = begin + arrivals(number)
        at = max(beat.due, arrived_at)
        sent.append((at, at - arrived_at))
        beat.follow(arrived_at, beat.due)
        beat.advance()
    return sent


def intervals(sent: list[tuple[float, float]]) -> list[float]:
    return [after[0] - before[0] for before, after in pairwise(sent)]


@settings(max_examples=20, deadline=None)
@given(st.floats(0.0, 0.020))
def test_the_beat_settles_close_behind_a_steady_source(phase: float) -> None:
    sent = play(lambda number: number * BLOCK - phase, 400)
    assert sent[-1][1] == pytest.approx(MARGIN, abs=0.001)
    assert min(intervals(sent)) >= BLOCK - MAX_RETURN - 1e-9


@settings(max_examples=20, deadline=None)
@given(st.floats(-300e-6, 300e-6))
def test_the_beat_drifts_with_the_clock_of_the_source(drift: float) -> None:
    sent = play(lambda number: number * BLOCK * (1 + drift), 1500)
    assert sent[-1][1] == pytest.approx(MARGIN, abs=0.001)


def test_blocks_that_come_two_at_a_time_leave_one_by_one() -> None:
    sent = play(lambda number: number // 2 * 2 * BLOCK, 1000)
    assert all(interval == pytest.approx(BLOCK, abs=0.001) for interval in intervals(sent)[200:])
    assert max(wait for _, wait in sent[200:]) < 0.025


@pytest.mark.parametrize("seed", range(20))
def test_jitter_of_the_source_does_not_reach_the_network(seed: int) -> None:
    jitter = np.random.default_rng(seed).uniform(0.0, 0.008, 600)
    sent = play(lambda number: number * BLOCK + float(jitter[number]), 600)
    late = [interval for interval in intervals(sent)[100:] if abs(interval - BLOCK) > 0.0025]
    # Single blocks may still be later than all that was seen lately; what remains is a fraction of what came in.
    assert len(late) <= 25
    assert max(wait for _, wait in sent[100:]) < 0.014


def test_one_late_block_delays_the_next_ones_for_a_while_only() -> None:
    sent = play(lambda number: number * BLOCK + (0.030 if number == 100 else 0.0), 500)
    assert sent[101][1] > 0.010
    assert sent[-1][1] == pytest.approx(MARGIN, abs=0.001)


@pytest.mark.parametrize("held_up", [0.0, 0.021, MAX_CATCH_UP + BLOCK])
def test_a_little_is_caught_up_with(held_up: float) -> None:
    beat = Beat(100.0)
    assert beat.catch_up(100.0 + held_up) == 0
    assert beat.due == 100.0


@given(st.floats(MAX_CATCH_UP + BLOCK + 1e-6, 100.0))
def test_after_being_held_up_for_longer_whole_beats_are_left_out(held_up: float) -> None:
    beat = Beat(100.0)
    left_out = beat.catch_up(100.0 + held_up)
    assert left_out >= 2
    assert beat.due == pytest.approx(100.0 + left_out * BLOCK)
    assert -1e-6 <= 100.0 + held_up - beat.due <= MAX_CATCH_UP + 1e-6
    assert beat.catch_up(100.0 + held_up) == 0


def test_what_came_as_soon_as_the_process_went_on_does_not_move_the_beat() -> None:
    beat = Beat(100.0)
    beat.follow(100.15, 100.15)
    assert beat.due == 100.0
    beat.follow(100.16, 100.15)
    assert beat.due > 100.0, "this one was waited for"


def test_a_block_that_belongs_to_a_later_beat_leaves_out_those_before() -> None:
    beat = Beat(100.0)
    assert (beat.reach(99.0), beat.reach(100.019)) == (0, 0)
    assert beat.reach(100.05) == 2
    assert beat.due == pytest.approx(100.04)
