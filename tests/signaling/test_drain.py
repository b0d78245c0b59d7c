"""Sending everybody away, on a simulated clock."""

from __future__ import annotations

import asyncio

import pytest

from entrenous_signaling.drain import LEAST_PACE, Pace, drain
from world.virtual_time import VirtualTime


def test_who_is_connected_leaves_evenly() -> None:
    pace = Pace(1000, 10.0, now=100.0)
    left = 1000
    for step in range(101):
        left -= pace.due(left, 100.0 + step / 10)
        assert abs(left - (1000 - 10 * step)) <= 1
    assert left == 0
    assert pace.due(7, 200.0) == 7


def test_who_leaves_by_themselves_counts() -> None:
    pace = Pace(1000, 10.0, now=0.0)
    assert pace.due(450, 5.0) == 0
    assert pace.due(550, 5.0) == 50


@pytest.mark.parametrize(("count", "seconds"), [(0, 0.0), (5, 5 / LEAST_PACE), (10_000, 10.0)])
def test_a_few_are_no_crowd(count: int, seconds: float) -> None:
    assert Pace(count, 10.0, 0.0).seconds == seconds


class House:
    def __init__(self, guests: int) -> None:
        self.connections = guests
        self.gone: list[tuple[float, int]] = []
        self.settled = 0

    def send_away(self, count: int) -> None:
        assert self.settled, "not before the store had answered"
        self.settled = 0
        self.connections -= count
        self.gone.append((asyncio.get_running_loop().time(), count))

    async def store_settled(self) -> None:
        self.settled += 1


def drained(guests: int, seconds: float, hurry_after: float | None = None) -> tuple[House, float]:
    house = House(guests)

    async def main() -> float:
        loop, hurry = asyncio.get_running_loop(), asyncio.Event()
        begun = loop.time()
        if hurry_after is not None:
            loop.call_later(hurry_after, hurry.set)
        await drain(house, Pace(guests, seconds, begun), hurry)
        return loop.time() - begun

    return house, VirtualTime().run(main)


def test_a_drain_takes_its_time_and_no_step_is_a_crowd() -> None:
    house, took = drained(2000, 10.0)
    assert house.connections == 0
    assert took == pytest.approx(10.0, abs=0.2)
    assert max(count for _, count in house.gone) <= 2000 / 10.0 * 0.1 * 1.5


def test_an_empty_house_is_drained_at_once_and_a_hurry_ends_it() -> None:
    assert drained(0, 10.0)[1] == 0.0
    house, took = drained(2000, 10.0, hurry_after=3.0)
    assert took == pytest.approx(3.0, abs=0.01)
    assert house.connections > 1300
