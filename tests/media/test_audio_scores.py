"""Scores of plans: those measured at their points, and something in between elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous.media.audio_plan import AudioPlan
from entrenous.media.audio_scores import MEASURED, MEASURED_BURST, Scores


def test_a_measured_point_has_its_score() -> None:
    scores = Scores(AudioPlan(48_000, fec=True))
    assert scores.at(0.0, 1.0) == 4.5
    assert scores.at(0.05, 1.0) == 4.19
    assert scores.at(0.2, 1.0) == 3.22
    assert scores.at(0.05, MEASURED_BURST) == 3.38


def test_between_points_the_score_is_in_between() -> None:
    scores = Scores(AudioPlan(48_000))
    assert scores.at(0.02, 1.0) == pytest.approx((3.94 + 3.42) / 2)
    assert scores.at(0.05, (1 / 0.95 + MEASURED_BURST) / 2) == pytest.approx((2.99 + 3.05) / 2)
    assert scores.at(0.15, 1.0) == pytest.approx((2.05 + 1.48) / 2)


def test_losses_that_follow_each_other_by_chance_are_no_bursts() -> None:
    scores = Scores(AudioPlan(48_000, duplicate_distance=1, fec=True))
    assert scores.at(0.2, 1 / 0.8) == scores.at(0.2, 1.0) > scores.at(0.2, 1.5)


def test_beyond_what_was_measured_the_last_score_stands() -> None:
    scores = Scores(AudioPlan(48_000))
    assert scores.at(0.9, 1.0) == scores.at(0.2, 1.0)
    assert scores.at(0.1, 30.0) == scores.at(0.1, MEASURED_BURST)


@settings(deadline=None)
@given(st.sampled_from(MEASURED), st.floats(0.0, 1.0), st.floats(0.0, 0.2), st.floats(1.0, 5.0))
def test_more_loss_is_never_better(plan: AudioPlan, loss: float, more: float, burst: float) -> None:
    scores = Scores(plan)
    # Some points lie a few hundredths above the one before: two patterns of loss are a sample.
    assert scores.at(loss + more, burst) <= scores.at(loss, burst) + 0.05
    assert 1.0 <= scores.at(loss, burst) <= 4.64


def test_what_was_measured_says_what_it_is_said_to() -> None:
    def score(plan: AudioPlan, loss: float, burst: float = 1.0) -> float:
        return Scores(plan).at(loss, burst)

    plain, fec = AudioPlan(48_000), AudioPlan(48_000, fec=True)
    both = AudioPlan(48_000, fec=True, duplicate_distance=3)
    assert score(fec, 0.05) > score(plain, 0.05) + 1.0
    assert score(both, 0.2) > 4.0
    assert score(AudioPlan(32_000, frame_ms=40), 0.0) > score(AudioPlan(24_000), 0.0)
    near, far = (AudioPlan(24_000, duplicate_distance=distance) for distance in (1, 3))
    assert score(far, 0.1, 3.0) > score(near, 0.1, 3.0) + 0.5
