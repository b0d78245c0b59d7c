"""Loss as feedback tells it: found within a second or two, forgotten over some more, bursts told from single losses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous.media.loss_meter import LossMeter


def feed(meter: LossMeter, pattern: list[bool], begin: float = 0.0) -> float:
    """50 packets a second, told of every 100 ms; the time after it."""
    now = begin
    for at in range(0, len(pattern), 5):
        now += 0.1
        meter.arrived(pattern[at : at + 5], now)
    return now


def test_before_anything_is_known_there_is_no_loss() -> None:
    meter = LossMeter()
    assert (meter.loss, meter.burst) == (0.0, 1.0)
    feed(meter, [True] * 500)
    assert (meter.loss, meter.burst) == (0.0, 1.0)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_random_loss_is_measured(share: float) -> None:
    draw = np.random.default_rng(7)
    meter, seen = LossMeter(), []
    now = 0.0
    for _ in range(60):
        now = feed(meter, [bool(draw.random() >= share) for _ in range(50)], now)
        seen.append(meter.loss)
    assert np.mean(seen[10:]) == pytest.approx(share, rel=0.25)
    assert meter.burst < 1.6


def test_bursts_are_told_from_single_losses() -> None:
    meter = LossMeter()
    feed(meter, ([True] * 47 + [False] * 3) * 20)
    assert meter.loss == pytest.approx(0.06, rel=0.3)
    assert 2.2 < meter.burst <= 3.0
    single = LossMeter()
    feed(single, ([True] * 15 + [False]) * 60)
    assert single.burst == 1.0


def test_one_burst_alone_makes_no_bursty_path() -> None:
    meter = LossMeter()
    feed(meter, [True] * 100 + [False] * 3 + [True] * 7)
    assert meter.burst < 1.8


def test_a_burst_may_span_two_feedbacks() -> None:
    meter = LossMeter()
    meter.arrived([True, False], 0.1)
    meter.arrived([False, False, True], 0.1)
    whole = LossMeter()
    whole.arrived([True, False, False, False, True], 0.1)
    assert meter.burst == whole.burst


def test_a_change_shows_within_a_second_and_is_forgotten() -> None:
    meter = LossMeter()
    now = feed(meter, [True] * 1000)
    now = feed(meter, ([True] * 9 + [False]) * 5, now)
    assert meter.loss > 0.01
    now = feed(meter, ([True] * 9 + [False]) * 50, now)
    assert meter.loss > 0.08
    feed(meter, [True] * 1500, now)
    assert meter.loss < 0.002


@settings(deadline=None)
@given(st.lists(st.tuples(st.lists(st.booleans(), max_size=30), st.floats(-1.0, 100.0))))
def test_figures_are_always_possible_ones(feedbacks: list[tuple[list[bool], float]]) -> None:
    meter, now = LossMeter(), 0.0
    for received, step in feedbacks:
        now += step
        meter.arrived(received, now)
        assert 0.0 <= meter.loss <= 1.0
        assert meter.burst >= 1.0 - 1e-9
