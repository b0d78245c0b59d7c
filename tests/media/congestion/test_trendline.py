"""Whether the slope of the delay shows a queue."""

from __future__ import annotations

import random

import numpy as np
import pytest

from entrenous.media.congestion.groups import Step
from entrenous.media.congestion.trendline import WINDOW, Trendline, Usage


def follow(trend: Trendline, growth: float, seconds: float, *, begin: float = 0.0, jitter: float = 0.0) -> list[Usage]:
    """Groups every 20 ms, each by `growth` of it later than the one before."""
    noise = random.Random(3)
    seen, last, offset = [], 0.0, 0.0
    for number in range(int(seconds / 0.02)):
        offset, last = noise.uniform(0, jitter), offset
        at = begin + number * 0.02 * (1 + growth)
        seen.append(trend.add(Step(0.020, max(0.0, 0.020 * (1 + growth) + offset - last), at)))
    return seen


def test_a_steady_delay_is_normal() -> None:
    assert set(follow(Trendline(), 0.0, 10.0)) == {Usage.NORMAL}


def test_a_growing_queue_is_overuse_within_a_second() -> None:
    trend = Trendline()
    follow(trend, 0.0, 2.0)
    seen = follow(trend, 0.2, 1.0, begin=2.0)
    assert Usage.OVERUSED in seen
    assert trend.slope > 0.01


def test_a_draining_queue_is_underuse() -> None:
    trend = Trendline()
    follow(trend, 0.0, 2.0)
    assert Usage.UNDERUSED in follow(trend, -0.2, 1.0, begin=2.0)


def test_drifting_clocks_are_no_queue() -> None:
    assert set(follow(Trendline(), 0.0005, 30.0)) == {Usage.NORMAL}


def test_the_threshold_rises_under_jitter_and_falls_again() -> None:
    trend = Trendline()
    follow(trend, 0.0, 20.0)
    quiet = trend.threshold
    follow(trend, 0.0, 20.0, begin=20.0, jitter=0.1)
    noisy = trend.threshold
    assert noisy > quiet
    follow(trend, 0.0, 20.0, begin=40.0)
    assert trend.threshold == pytest.approx(quiet, rel=0.5)


def test_groups_of_one_instant_change_nothing() -> None:
    trend = Trendline()
    for _ in range(50):
        trend.add(Step(0.02, 0.02, 1.0))
    assert trend.slope == 0.0


def test_the_slope_is_that_of_the_line_of_least_squares_however_long_it_is_followed() -> None:
    trend, noise = Trendline(), random.Random(5)
    times: list[float] = []
    delays: list[float] = []
    total = smoothed = 0.0
    at = 1_000_000.0
    for _ in range(5000):
        step = Step(0.02, 0.02 + noise.uniform(-0.015, 0.016), at)
        at += noise.uniform(0.001, 0.03)
        trend.add(step)
        total += (step.arrived - step.sent) * 1000
        smoothed = 0.9 * smoothed + 0.1 * total
        times.append(step.at * 1000)
        delays.append(smoothed)
    expected = np.polyfit(np.array(times[-WINDOW:]) - times[-1], delays[-WINDOW:], 1)[0]
    assert trend.slope == pytest.approx(expected, rel=1e-6)
