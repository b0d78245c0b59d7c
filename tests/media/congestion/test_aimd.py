"""The rate that delay allows."""

from __future__ import annotations

import pytest

from entrenous.media.congestion.aimd import (
    BACKOFF,
    CLIMB,
    GROWTH,
    HEADROOM,
    HEADROOM_BITS,
    DelayBasedRate,
    LinkCapacity,
)
from entrenous.media.congestion.trendline import Usage


def feed(rate: DelayBasedRate, usage: Usage, arriving: float | None, begin: float, seconds: float) -> None:
    for number in range(int(seconds / 0.05)):
        rate.update(usage, arriving, 0.05, begin + number * 0.05, limited=False)


def test_an_unknown_path_is_explored_by_a_share() -> None:
    rate = DelayBasedRate(500_000, 0.0)
    feed(rate, Usage.NORMAL, 500_000, 0.0, 5.05)
    assert rate.rate == pytest.approx(500_000 * GROWTH**5, rel=0.01)


def test_it_grows_no_further_than_what_arrives_has_shown() -> None:
    rate = DelayBasedRate(500_000, 0.0)
    feed(rate, Usage.NORMAL, 400_000, 0.0, 60.0)
    assert rate.rate == pytest.approx(HEADROOM * 400_000 + HEADROOM_BITS)


def test_a_rate_above_that_is_kept() -> None:
    rate = DelayBasedRate(5_000_000, 0.0)
    feed(rate, Usage.NORMAL, 400_000, 0.0, 60.0)
    assert rate.rate == 5_000_000


def test_overuse_takes_it_below_what_arrives() -> None:
    rate = DelayBasedRate(1_000_000, 0.0)
    assert rate.update(Usage.OVERUSED, 800_000, 0.05, 1.0, limited=False)
    assert rate.rate == pytest.approx(BACKOFF * 800_000)


def test_it_comes_down_once_a_round_trip_unless_far_too_high() -> None:
    rate = DelayBasedRate(1_000_000, 0.0)
    rate.update(Usage.OVERUSED, 900_000, 0.05, 1.0, limited=False)
    assert not rate.update(Usage.OVERUSED, 700_000, 0.05, 1.05, limited=False)
    assert rate.update(Usage.OVERUSED, 200_000, 0.05, 1.06, limited=False)
    assert rate.rate == pytest.approx(BACKOFF * 200_000)


def test_it_never_comes_down_to_more_than_it_was() -> None:
    rate = DelayBasedRate(300_000, 0.0)
    rate.update(Usage.OVERUSED, 900_000, 0.05, 1.0, limited=False)
    assert rate.rate == 300_000


def test_while_a_queue_drains_it_waits() -> None:
    rate = DelayBasedRate(300_000, 0.0)
    feed(rate, Usage.UNDERUSED, 900_000, 0.0, 5.0)
    assert rate.rate == 300_000


def test_close_to_the_limit_it_grows_by_steps() -> None:
    rate = DelayBasedRate(1_000_000, 0.0)
    rate.update(Usage.OVERUSED, 1_000_000, 0.05, 0.0, limited=False)
    feed(rate, Usage.NORMAL, 850_000, 0.05, 1.05)
    assert rate.rate == pytest.approx(850_000 + 1200 * 8 / 0.15, rel=0.02)


def test_once_more_arrives_than_the_limit_it_is_explored_again() -> None:
    rate = DelayBasedRate(300_000, 0.0)
    rate.update(Usage.OVERUSED, 300_000, 0.05, 0.0, limited=False)
    feed(rate, Usage.NORMAL, 600_000, 0.05, 0.2)
    assert rate.capacity.estimate is None


def test_a_probe_only_raises() -> None:
    rate = DelayBasedRate(300_000, 0.0)
    rate.raise_to(900_000)
    rate.raise_to(100_000)
    assert rate.rate == 900_000


def test_the_capacity_follows_slowly_and_begins_anew_far_below() -> None:
    capacity = LinkCapacity()
    assert not capacity.exceeded(1e9)
    capacity.overused_at(1_000_000)
    capacity.overused_at(1_040_000)
    assert capacity.estimate == pytest.approx(1_002_000)
    assert not capacity.exceeded(1_040_000)
    assert capacity.exceeded(1_200_000)
    capacity.overused_at(300_000)
    assert capacity.estimate == 300_000


def test_far_below_what_the_path_carried_it_climbs_fast_though_a_limit_is_known() -> None:
    rate = DelayBasedRate(300_000, 0.0)
    rate.update(Usage.OVERUSED, 300_000, 0.05, 0.0, limited=False)
    rate.update(Usage.NORMAL, 255_000, 0.05, 0.5, limited=False)
    before = rate.rate
    for step in range(1, 21):
        rate.update(Usage.NORMAL, rate.rate, 0.05, 0.5 + step * 0.05, limited=False, climbing=True)
    assert rate.rate == pytest.approx(CLIMB * before, rel=0.01)
