"""Moments are due at the beginning plus media time: lateness neither adds up nor bursts."""

from __future__ import annotations

import time

import pytest

from entrenous.errors import LocalProtocolError
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
    await timeline.pace(0.02)
    clock.advance(0.3)
    assert await timeline.pace(0.04) == pytest.approx(1000.04)
    assert clock.now() == pytest.approx(1000.32), "what is late is due at once"
    await timeline.pace(0.5)
    assert clock.now() == pytest.approx(1000.5)


async def test_after_a_long_stop_the_sound_goes_on_without_a_burst() -> None:
    clock = SimulatedClock()
    timeline = Timeline(clock)
    timeline.begin()
    await timeline.pace(1.0)
    clock.advance(60)
    assert await timeline.pace(1.02) == pytest.approx(1061)
    assert await timeline.pace(1.04) == pytest.approx(1061.02)
    assert await timeline.wait_for(1.04) == pytest.approx(1061.02), "the picture has moved along"


async def test_the_picture_alone_never_moves_the_time_line() -> None:
    clock = SimulatedClock()
    timeline = Timeline(clock)
    timeline.begin()
    clock.advance(60)
    assert await timeline.wait_for(1.0) == pytest.approx(1001)


def test_a_source_must_be_started() -> None:
    with pytest.raises(LocalProtocolError, match="started"):
        Timeline().due(0)


async def test_real_time_is_the_monotonic_clock() -> None:
    clock = MonotonicClock()
    before = time.monotonic()
    await clock.sleep_until(before + 0.01)
    assert clock.now() >= before + 0.01
