"""Pictures are thinned out evenly."""

from __future__ import annotations

import random

import pytest

from entrenous.media.frame_rate import FrameRateLimit


@pytest.mark.parametrize(
    ("captured", "limit", "taken"), [(30, 15, 15), (30, 20, 20), (30, 30, 30), (24, 30, 24), (60, 7, 7)]
)
def test_as_many_are_taken_as_the_limit_says(captured: int, limit: float, taken: int) -> None:
    rate = FrameRateLimit(limit)
    count = sum(rate.takes(number / captured) for number in range(captured * 10))
    assert count == pytest.approx(taken * 10, abs=2)


def test_half_of_them_is_every_second_one() -> None:
    rate = FrameRateLimit(15)
    assert [rate.takes(number / 30) for number in range(6)] == [True, False] * 3


def test_an_inexact_camera_loses_no_picture_at_its_own_rate() -> None:
    chance = random.Random(5)
    rate = FrameRateLimit(30)
    assert all(rate.takes(number / 30 + chance.uniform(-0.003, 0.003)) for number in range(300))


def test_after_a_pause_there_is_no_burst() -> None:
    rate = FrameRateLimit(10)
    assert rate.takes(0.0)
    assert [rate.takes(9.0 + number / 30) for number in range(6)] == [True, False, False, True, False, False]
