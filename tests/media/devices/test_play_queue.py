"""What waits for the speaker: little, steady under drift, and more only when it has to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous.media.devices.play_queue import PlayQueue

BLOCK = 0.020
TURN = 0.010


def block(value: int = 1000) -> np.ndarray:
    return np.full(960, value, np.int16)


def run(
    queue: PlayQueue,
    seconds: float,
    *,
    begin: float = 0.0,
    drift: float = 0.0,
    late: dict[int, float] | None = None,
    value: int = 1000,
) -> list[int]:
    """Write by one clock and pull by another; what waits after each turn.

    Args:
        seconds: of the call's clock.
        begin: its time at the beginning.
        drift: how much faster the sound card's clock is.
        late: by how many seconds the block of this number comes late.
        value: of the samples.
    """
    writes = sorted(begin + number * BLOCK + (late or {}).get(number, 0.0) for number in range(round(seconds / BLOCK)))
    waiting, written, turn = [], 0, 0
    while (at := begin + turn * TURN / (1 + drift) + 0.003) < begin + seconds:
        while written < len(writes) and writes[written] <= at:
            queue.write(block(value), writes[written])
            written += 1
        queue.pull(at)
        waiting.append(queue.waiting)
        turn += 1
    return waiting


def test_silence_until_something_is_written() -> None:
    queue = PlayQueue()
    assert not queue.pull(1.0).any()
    assert queue.underruns == 0


@pytest.mark.parametrize("phase", [0.0, 0.004, 0.009])
def test_the_first_sample_is_heard_a_turn_and_the_margin_after_it_was_written(phase: float) -> None:
    queue = PlayQueue()
    queue.pull(-TURN + phase)
    queue.write(block(), 0.0)
    heard = np.concatenate([queue.pull(phase), queue.pull(phase + TURN)])
    begin = int(np.flatnonzero(heard)[0])
    assert phase * 48_000 + begin == pytest.approx(480 + queue.margin, abs=2)
    assert set(heard[begin + 1 :].tolist()) == {1000}


@pytest.mark.parametrize("drift", [-300e-6, 60e-6, 300e-6])
def test_a_sound_card_whose_clock_drifts_neither_runs_dry_nor_adds_delay(drift: float) -> None:
    queue = PlayQueue()
    waiting = run(queue, 100, drift=drift)
    assert queue.underruns == 0
    assert queue.dropped == 0
    assert max(waiting[500:]) < 0.035 * 48_000
    assert abs(queue.speed - 1) < 0.002


def test_running_dry_makes_the_margin_grow_and_calm_lets_it_shrink() -> None:
    queue = PlayQueue()
    run(queue, 1, late={30: 0.035})
    assert (queue.underruns, queue.margin) == (1, 0.005 * 48_000), "beginning is no sign"
    run(queue, 3, begin=3, late={100: 0.035})
    assert (queue.underruns, queue.margin) == (2, 0.015 * 48_000)
    run(queue, 4, begin=10, late={150: 0.012})
    assert queue.underruns == 2, "what it has learned holds"
    run(queue, 60, begin=20)
    assert queue.margin < 0.006 * 48_000


def test_running_dry_fades_out_instead_of_breaking_off() -> None:
    queue = PlayQueue()
    queue.write(block(), 0.0)
    heard = np.concatenate([queue.pull(turn * TURN) for turn in range(5)]).astype(int)
    end = int(np.flatnonzero(heard)[-1])
    assert np.abs(np.diff(heard[end - 200 : end + 2])).max() < 40


def test_a_pause_is_no_underrun() -> None:
    queue = PlayQueue()
    run(queue, 1)
    run(queue, 1, begin=1.5)
    assert queue.underruns == 0
    assert queue.margin == 0.005 * 48_000


def test_a_burst_is_left_out_smoothly() -> None:
    queue = PlayQueue()
    run(queue, 1)
    for _ in range(9):
        queue.write(block(), 1.0)
    heard = np.concatenate([queue.pull(1 + turn * TURN) for turn in range(4)]).astype(int)
    assert queue.dropped > 0.08 * 48_000
    assert queue.waiting < 0.040 * 48_000
    assert np.abs(np.diff(heard)).max() < 40


def test_what_nobody_pulls_does_not_pile_up() -> None:
    queue = PlayQueue()
    for number in range(100):
        queue.write(block(), number * BLOCK)
    assert queue.waiting <= 0.25 * 48_000
    queue.pull(2.0)
    assert queue.waiting <= 960, "once the sound card begins to ask, the newest is what it gets"


def test_a_sound_card_that_stood_still_leaves_no_delay_behind() -> None:
    queue = PlayQueue()
    run(queue, 1)
    for number in range(5):
        queue.write(block(), 1 + number * BLOCK)
    queue.pull(1.1)
    assert queue.waiting <= 960 + queue.margin


def test_too_much_slack_goes_as_soon_as_it_is_quiet() -> None:
    queue = PlayQueue()
    run(queue, 1)
    queue.write(block(), 1.0)
    queue.write(block(), 1.0)
    loud = run(queue, 4, begin=1.0)
    assert queue.dropped == 0
    assert queue.speed == 1.005, "while it is not, it plays a little faster"
    quiet = run(queue, 2, begin=5.0, value=50)
    assert queue.dropped > 0
    assert max(quiet[100:]) < min(loud[-100:])
    assert queue.underruns == 0


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.tuples(st.booleans(), st.floats(0, 0.1)), max_size=200), size=st.integers(1, 2000))
def test_whatever_is_done_turns_are_whole_and_what_waits_is_bounded(steps: list[tuple[bool, float]], size: int) -> None:
    queue, now = PlayQueue(), 0.0
    for write, seconds in steps:
        now += seconds
        if write:
            queue.write(np.full(size, 9, np.int16), now)
        else:
            assert queue.pull(now).shape == (480,)
        assert 0 <= queue.waiting <= 12 * 960
