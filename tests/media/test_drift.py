"""How much faster the sender's clock runs, told from arrivals."""

from __future__ import annotations

import random

import pytest

from entrenous.media.drift import ClockDrift


def followed(parts_per_million: float, seconds: float, *, jump_at: float = 1e9) -> ClockDrift:
    source, drift = random.Random(1), ClockDrift()
    for number in range(int(seconds * 50)):
        media = number * 0.02
        sent = media / (1 + parts_per_million * 1e-6)
        at = sent + source.expovariate(100) + (0.05 if sent > jump_at else 0.0)
        drift.add(at, at - media)
    return drift


def test_nothing_is_said_for_the_first_twenty_seconds() -> None:
    assert ClockDrift().parts_per_million is None
    assert followed(100, 19).parts_per_million is None


@pytest.mark.parametrize("parts_per_million", [-200, 0, 60, 200])
def test_a_clock_is_measured_through_jitter(parts_per_million: int) -> None:
    assert followed(parts_per_million, 130).parts_per_million == pytest.approx(parts_per_million, abs=5)


def test_a_longer_path_is_no_slower_clock() -> None:
    assert followed(50, 130, jump_at=110).parts_per_million == pytest.approx(50, abs=20)


def test_only_the_last_two_minutes_count() -> None:
    assert len(followed(0, 300)._points) == 30
