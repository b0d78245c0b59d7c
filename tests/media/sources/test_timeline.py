"""Moments are due at the beginning plus media time: lateness neither adds up nor bursts."""

from __future__ import annotations

import math
import time

import pytest

from entrenous.errors import LocalProtocolError
from entrenous.media.beat import MAX_CATCH_UP
from entrenous.media.sources.timeline import MonotonicClock, Timeline
from world.media_clock import SimulatedClock


async def test_moments_follow_the_beginning() -> None:
    clock = SimulatedClock()
    timeline = Timeline(clock)
    timeline.begin()
    assert await timeline.wait_for(0.5) == 1000.5
    assert clock.now() == 1000.5
    assert timeline.elapsed() == 0.5


async def test_a_late_wake_up_does_not_move_later_moments() -> None:
    clock = SimulatedClock()
    timeline = Timeline(clock)
    timeline.begin()
    await timeline.wait_for(0.02)
    clock.advance(0.3)
    assert await timeline.wait_for(0.04) == pytest.approx(1000.04)
    assert clock.now() == pytest.approx(1000.32), "what is late is due at once"
    await timeline.wait_for(0.5)
    assert clock.now() == pytest.approx(1000.5)


@pytest.mark.parametrize("stop", [0.51, 60.01])
async def test_after_a_stop_the_time_line_is_where_it_would_have_been(stop: float) -> None:
    clock = SimulatedClock()
    timeline = Timeline(clock)
    timeline.begin()
    await timeline.wait_for(1.0)
    assert timeline.block_in_time(50) == 50
    clock.advance(stop)
    assert await timeline.wait_for(1.02) == pytest.approx(1001.02)
    assert timeline.block_in_time(51) == 50 + math.ceil((stop - MAX_CATCH_UP) / 0.02)
    assert timeline.block_in_time(4000) == 4000


async def test_a_block_that_may_still_be_caught_up_with_is_in_time() -> None:
    clock = SimulatedClock()
    timeline = Timeline(clock)
    timeline.begin()
    clock.advance(1.0 + MAX_CATCH_UP - 0.001)
    assert timeline.block_in_time(50) == 50
    clock.advance(0.002)
    assert timeline.block_in_time(50) == 51


def test_a_source_must_be_started() -> None:
    with pytest.raises(LocalProtocolError, match="started"):
        Timeline().due(0)


async def test_real_time_is_the_monotonic_clock() -> None:
    clock = MonotonicClock()
    before = time.monotonic()
    await clock.sleep_until(before + 0.01)
    assert clock.now() >= before + 0.01
