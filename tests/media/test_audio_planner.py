"""Plans of sound: the best that fits, never more than the rate, and seldom another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous.media.audio_plan import AudioPlan
from entrenous.media.audio_planner import IMPROVE_AFTER, LONGEST_WAIT, AudioPlanner

OVERHEAD = 64
STEP = 0.1

LADDER = [
    AudioPlan(16_000, frame_ms=60),
    AudioPlan(20_000, frame_ms=60),
    AudioPlan(24_000, frame_ms=60),
    AudioPlan(24_000, frame_ms=40),
    AudioPlan(32_000, frame_ms=40),
    AudioPlan(32_000),
    AudioPlan(40_000),
    AudioPlan(48_000),
    AudioPlan(64_000),
]
"""What a clean path gets, from the narrowest to the widest."""


class Run:
    """A planner under simulated time."""

    def __init__(self, top: int = 48_000) -> None:
        self.planner = AudioPlanner(top, OVERHEAD)
        self.now = 0.0
        self.changes = 0

    def step(self, rate: float, loss: float = 0.0, burst: float = 1.0, round_trip: float | None = 0.05) -> AudioPlan:
        before = self.planner.plan
        self.now += STEP
        plan = self.planner.update(self.now, rate, loss, burst, round_trip)
        self.changes += plan != before
        assert plan == self.planner.plan
        return plan

    def settle(self, rate: float, loss: float = 0.0, burst: float = 1.0, round_trip: float | None = 0.05) -> AudioPlan:
        for _ in range(600):
            plan = self.step(rate, loss, burst, round_trip)
        return plan


def wire(plan: AudioPlan) -> int:
    return plan.wire_rate(OVERHEAD)


@pytest.mark.parametrize("rung", range(len(LADDER)))
def test_each_rung_of_the_ladder_has_its_edges(rung: int) -> None:
    """From below, a plan is taken with some headroom; from above, it is kept down to the last bit."""
    plan = LADDER[rung]
    assert Run(64_000).settle(wire(plan) * 1.1 + 1) == plan
    if rung > 0:
        assert Run(64_000).settle(wire(plan) - 1) != plan
        run = Run(64_000)
        run.settle(wire(plan) * 1.1 + 1)
        assert run.settle(wire(plan)) == plan
        assert wire(run.step(wire(plan) - 1)) < wire(plan)


def test_the_rungs_of_the_ladder_rise() -> None:
    assert [wire(plan) for plan in LADDER] == sorted(wire(plan) for plan in LADDER)


def test_a_fall_of_the_rate_is_followed_at_once() -> None:
    run = Run()
    assert run.settle(500_000) == AudioPlan(48_000)
    assert wire(run.step(45_000)) <= 45_000
    assert wire(run.step(30_000)) <= 30_000


def test_a_rise_is_followed_after_some_seconds() -> None:
    run = Run()
    run.settle(30_000)
    begun = run.now
    while run.step(500_000).frame_ms != 20:
        assert run.now < begun + IMPROVE_AFTER + 1
    assert run.now >= begun + IMPROVE_AFTER
    assert run.planner.plan == AudioPlan(48_000)


def test_below_the_cheapest_plan_the_cheapest_stands() -> None:
    run = Run()
    assert run.settle(0) == AudioPlan(16_000, frame_ms=60)
    assert run.settle(20_000, loss=0.3) == AudioPlan(16_000, frame_ms=60)


@pytest.mark.parametrize(
    ("loss", "burst", "rate", "plan"),
    [
        (0.0, 1.0, 500_000, AudioPlan(48_000)),
        (0.02, 1.0, 90_000, AudioPlan(40_000, fec=True)),
        (0.1, 1.0, 500_000, AudioPlan(48_000, fec=True, duplicate_distance=1)),
        (0.2, 1.25, 500_000, AudioPlan(48_000, fec=True, duplicate_distance=1)),
        (0.2, 3.0, 500_000, AudioPlan(48_000, fec=True, duplicate_distance=3)),
        (0.1, 3.0, 115_000, AudioPlan(32_000, fec=True, duplicate_distance=3)),
        (0.05, 1.0, 48_000, AudioPlan(16_000, frame_ms=60, duplicate_distance=1)),
    ],
)
def test_protection_follows_loss_and_rate(loss: float, burst: float, rate: float, plan: AudioPlan) -> None:
    assert Run().settle(rate, loss, burst) == plan


def test_protection_comes_fast_and_goes_slowly() -> None:
    run = Run()
    run.settle(500_000)
    begun = run.now
    while not run.step(500_000, 0.05).fec:
        assert run.now < begun + 1.5
    begun = run.now
    while run.step(500_000, 0.0).fec:
        assert run.now < begun + IMPROVE_AFTER + 3
    assert run.now >= begun + IMPROVE_AFTER


def test_single_losses_change_nothing() -> None:
    run = Run()
    run.settle(500_000)
    changes = run.changes
    for number in range(3000):
        run.step(500_000, 0.004 if number % 300 < 20 else 0.0)
    assert run.changes == changes


def test_a_slow_conversation_is_not_made_slower() -> None:
    quick = Run().settle(500_000, 0.1, 2.0, round_trip=0.05)
    slow = Run().settle(500_000, 0.1, 2.0, round_trip=0.4)
    assert slow.duplicate_distance < quick.duplicate_distance


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([6_000, 16_000, 24_000, 32_000, 48_000, 64_000, 128_000]),
    st.lists(
        st.tuples(st.floats(0, 300_000), st.floats(0, 0.4), st.floats(1, 6), st.none() | st.floats(0.001, 2)),
        min_size=1,
        max_size=60,
    ),
)
def test_a_plan_never_takes_more_than_the_rate(top: int, path: list[tuple[float, float, float, float | None]]) -> None:
    run = Run(top)
    least = run.planner.demand.minimum
    for rate, loss, burst, round_trip in path:
        for _ in range(20):
            plan = run.step(rate, loss, burst, round_trip)
            assert wire(plan) <= max(rate, least)
            assert plan.bitrate <= top
        demand = run.planner.demand
        assert demand.minimum == least <= demand.maximum
        assert wire(plan) <= demand.maximum


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_noise_does_not_make_plans_flap(seed: int, loss: float) -> None:
    """Ten minutes of a rate that jumps by 15 % and of loss that is hard to measure: each climb costs more patience."""
    draw = np.random.default_rng(seed)
    run, middle = Run(), float(draw.uniform(30_000, 150_000))
    run.settle(middle, loss)
    changes = run.changes
    for _ in range(6000):
        run.step(middle * float(draw.uniform(0.85, 1.15)), max(0.0, loss + float(draw.normal(0, 0.01))))
    assert run.changes - changes <= 2 * 600 / LONGEST_WAIT + 16


@pytest.mark.parametrize("period", [5.0, 12.0, 30.0])
def test_a_rate_that_swings_is_climbed_after_ever_more_seldom(period: float) -> None:
    run = Run()
    for _ in range(6000):
        run.step(120_000 if run.now % period < period * 0.7 else 40_000)
    assert run.changes <= 2 * 600 / max(period, 20.0) + 12


@pytest.mark.parametrize(
    ("top", "plan"),
    [
        (6_000, AudioPlan(6_000, frame_ms=60)),
        (20_000, AudioPlan(20_000)),
        (24_000, AudioPlan(24_000)),
        (64_000, AudioPlan(64_000)),
        (128_000, AudioPlan(128_000)),
    ],
)
def test_the_configured_rate_is_the_top(top: int, plan: AudioPlan) -> None:
    assert Run(top).settle(1_000_000) == plan


def test_what_sound_demands_grows_with_loss() -> None:
    run = Run()
    run.settle(500_000)
    clean = run.planner.demand
    run.settle(500_000, 0.1)
    lossy = run.planner.demand
    assert clean.minimum == lossy.minimum == wire(AudioPlan(16_000, frame_ms=60))
    assert wire(AudioPlan(48_000)) < clean.maximum < lossy.maximum < 150_000


def test_longer_headers_are_reckoned_with_and_change_no_plan_by_themselves() -> None:
    run = Run()
    plan = run.settle(200_000)
    before = run.planner.demand
    run.planner.overhead_changed(OVERHEAD + 20)
    assert run.planner.plan == plan
    assert run.planner.demand.minimum - before.minimum == pytest.approx(20 * 8000 / 60, abs=1)
    assert run.planner.demand.maximum > before.maximum
    assert wire(run.settle(wire(plan))) < wire(plan)


def test_losses_are_watched_for_half_a_second_whatever_was_better_before() -> None:
    run = Run()
    before = run.planner.plan
    for _ in range(20):
        assert run.step(500_000, 0.0) == before  # a better plan waits for its five seconds
    for _ in range(5):
        assert run.step(500_000, 0.3, 3.0) == before
    for _ in range(4):
        run.step(500_000, 0.3, 3.0)
    assert run.planner.plan.duplicate_distance == 3
