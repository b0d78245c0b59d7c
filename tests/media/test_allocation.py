"""Dividing the rate of a session between its streams."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.media.allocation import RETURN_MARGIN, Allocator, Demand
from entrenous.media.streams import StreamKind

AUDIO, VIDEO, SCREEN = StreamKind.AUDIO, StreamKind.VIDEO, StreamKind.SCREEN
SOUND = Demand(30_000, 60_000)
CAMERA = Demand(50_000, 1_500_000)
SHARED = Demand(100_000, 2_500_000, weight=2.0)


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (5_000_000, {AUDIO: 60_000, VIDEO: 1_500_000, SCREEN: 2_500_000}),
        (960_000, {AUDIO: 60_000, VIDEO: 300_000, SCREEN: 600_000}),
        (250_000, {AUDIO: 60_000, VIDEO: 63_333, SCREEN: 126_666}),
        (200_000, {AUDIO: 60_000, VIDEO: 0, SCREEN: 140_000}),
        (130_000, {AUDIO: 60_000, VIDEO: 70_000, SCREEN: 0}),
        (100_000, {AUDIO: 60_000, VIDEO: 0, SCREEN: 0}),
        (40_000, {AUDIO: 40_000, VIDEO: 0, SCREEN: 0}),
        (10_000, {AUDIO: 30_000, VIDEO: 0, SCREEN: 0}),
    ],
)
def test_sound_first_then_the_screen_then_by_weight(total: int, expected: dict[StreamKind, int]) -> None:
    assert Allocator().divide(total, {AUDIO: SOUND, VIDEO: CAMERA, SCREEN: SHARED}) == expected


def test_a_paused_picture_returns_with_a_margin() -> None:
    allocator = Allocator()
    demands = {AUDIO: SOUND, VIDEO: CAMERA}
    assert allocator.divide(60_000 + 50_000, demands)[VIDEO] == 50_000
    assert allocator.divide(60_000 + 49_000, demands)[VIDEO] == 0
    assert allocator.divide(60_000 + 51_000, demands)[VIDEO] == 0
    assert allocator.divide(60_000 + 50_000 * RETURN_MARGIN, demands)[VIDEO] == 60_000


def test_a_picture_that_was_stopped_while_paused_starts_afresh() -> None:
    allocator = Allocator()
    assert allocator.divide(0, {VIDEO: CAMERA})[VIDEO] == 0
    allocator.divide(0, {})
    assert allocator.divide(50_000, {VIDEO: CAMERA})[VIDEO] == 50_000


rates = st.integers(0, 3_000_000)
demands = st.builds(
    lambda low, more, weight: Demand(low, low + more, weight), rates, rates, st.floats(0.1, 10.0, allow_nan=False)
)


@given(st.floats(0, 10_000_000), st.dictionaries(st.sampled_from([VIDEO, SCREEN]), demands), demands)
def test_nobody_gets_more_than_there_is_or_than_it_can_use(
    total: float, pictures: dict[StreamKind, Demand], sound: Demand
) -> None:
    given_ = Allocator().divide(total, {AUDIO: sound, **pictures})
    assert given_.keys() == {AUDIO, *pictures}
    assert sum(given_.values()) <= max(total, sound.minimum) + 1
    assert sound.minimum <= given_[AUDIO] <= sound.maximum
    for kind, demand in pictures.items():
        assert given_[kind] == 0 or demand.minimum - 1 <= given_[kind] <= demand.maximum + 1


@given(st.floats(0, 10_000_000), demands, demands)
def test_nothing_is_left_over_while_somebody_could_use_it(total: float, camera: Demand, screen: Demand) -> None:
    given_ = Allocator().divide(total, {VIDEO: camera, SCREEN: screen})
    left = total - sum(given_.values())
    for kind, demand in ((VIDEO, camera), (SCREEN, screen)):
        satisfied = given_[kind] >= demand.maximum - 2
        paused = given_[kind] == 0 and demand.minimum > left - 3
        assert satisfied or paused or left <= 3
