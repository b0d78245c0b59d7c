"""Loss that sending less would spare, and loss that it would not."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from entrenous.media.congestion.history import SentPacket
from entrenous.media.congestion.loss import LEAST_PACKETS, WINDOW, LossBound

SIZE = 1250


def follow(bound: LossBound, rates: list[float], loss: Callable[[float], float], seed: int = 1) -> None:
    """A rate for each quarter of a second, and the share that is lost at it."""
    dice = random.Random(seed)
    for place, rate in enumerate(rates):
        count = max(LEAST_PACKETS, round(rate * WINDOW / 8 / SIZE))
        lost = sum(dice.random() < loss(rate) for _ in range(count))
        at = (place + 1) * WINDOW
        bound.add(0, 0, [], 0, at - WINDOW)
        bound.add(count - lost, (count - lost) * SIZE, [SentPacket(at, SIZE, None)] * lost, 0, at)


RATES = [1_000_000 * factor for factor in (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.0, 0.85) * 6]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.1, 0.15])
@pytest.mark.parametrize("seed", range(5))
def test_loss_that_is_the_same_at_every_rate_bounds_nothing(share: float, seed: int) -> None:
    bound = LossBound()
    follow(bound, RATES, lambda rate: share, seed)
    assert bound.bound > 1_200_000


@pytest.mark.parametrize("inherent", [0.0, 0.03])
def test_loss_of_what_is_too_much_bounds_to_what_gets_through(inherent: float) -> None:
    bound = LossBound()
    follow(bound, RATES, lambda rate: inherent + (1 - inherent) * max(0.0, 1 - 800_000 / rate))
    assert 600_000 < bound.bound < 900_000


def test_loss_that_no_radio_has_is_always_congestion() -> None:
    bound = LossBound()
    follow(bound, [2_000_000] * 8, lambda rate: 0.6)
    assert bound.bound < 1_000_000


def test_the_bound_is_let_go_when_loss_ends() -> None:
    bound = LossBound()
    follow(bound, [2_000_000] * 8, lambda rate: 0.6)
    follow(bound, [700_000] * 60, lambda rate: 0.0)
    assert bound.bound == math.inf


def test_packets_that_only_come_late_are_not_lost() -> None:
    bound = LossBound()
    for place in range(40):
        at = place * WINDOW
        bound.add(30, 30 * SIZE, [SentPacket(at, SIZE, None)] * 10, 10 if place else 0, at)
    assert bound.loss < 0.05
    assert bound.bound == math.inf


def test_few_packets_are_watched_for_longer() -> None:
    bound = LossBound()
    assert not bound.add(LEAST_PACKETS - 1, 1000, [], 0, 0.0)
    assert not bound.add(0, 0, [], 0, 10.0)
    assert bound.add(1, 1000, [], 0, 10.1)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
def test_losses_in_bursts_bound_sound_to_no_less_than_it_needs(share: float) -> None:
    """Sound alone loses three packets in a row, at rates that its plans change between."""
    burst, spacing, needed = 3, 0.02, 120_000
    starved = 0
    for seed in range(10):
        dice, bound, losing = random.Random(seed), LossBound(), False
        for number in range(2000):
            losing = dice.random() < (1 - 1 / burst if losing else share / (1 - share) / burst)
            size = (150, 220, 360)[number // 150 % 3]
            at = number * spacing
            bound.add(0 if losing else 1, 0 if losing else size, [SentPacket(at, size, None)] * losing, 0, at)
            starved += bound.bound < needed
    assert starved < 0.03 * 10 * 2000


def test_a_bound_on_few_packets_is_let_go_as_fast_as_one_on_many() -> None:
    bound, spacing, size = LossBound(), 0.06, 240
    for number in range(100):
        missing = [SentPacket(number * spacing, size, None)] * (number % 5 > 1)
        bound.add(1 - len(missing), size * (1 - len(missing)), missing, 0, number * spacing)
    assert bound.bound < 30_000
    for number in range(100, 250):
        bound.add(1, size, [], 0, number * spacing)
    assert bound.bound == math.inf


def test_a_burst_at_the_very_beginning_bounds_nothing() -> None:
    bound = LossBound()
    for number in range(40):
        missing = [SentPacket(number * 0.02, 300, None)] * (number % 20 in range(6, 17))
        bound.add(1 - len(missing), 300 * (1 - len(missing)), missing, 0, number * 0.02)
    assert bound.loss > 0.5
    assert bound.bound == math.inf
