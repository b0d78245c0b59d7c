"""Turns come when they are due, at once when they are wanted, and never after the end."""

from __future__ import annotations

import asyncio
import time

import pytest

from entrenous.media.turns import Turns

FAR = 3600.0


class Taker:
    """Has turns at the times that it is given, and then none for an hour."""

    def __init__(self, *due: float) -> None:
        self.due = list(due)
        self.times: list[float] = []
        self.done = asyncio.Event()

    def __call__(self) -> float:
        self.times.append(time.monotonic())
        if self.due:
            return self.due.pop(0)
        self.done.set()
        return time.monotonic() + FAR


async def rounds(count: int = 5) -> None:
    """Let the loop do what is due."""
    for _ in range(count):
        await asyncio.sleep(0)


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


async def test_each_turn_comes_when_the_one_before_said() -> None:
    begin = time.monotonic()
    due = [begin + number * 0.005 for number in range(1, 6)]
    taker = Taker(*due[1:])
    task = asyncio.create_task(Turns(taker).run(due[0]))
    async with asyncio.timeout(60):
        await taker.done.wait()
    await end(task)
    assert len(taker.times) == 5
    resolution = time.get_clock_info("monotonic").resolution
    assert all(at >= planned - resolution for at, planned in zip(taker.times, due, strict=True))


async def test_turns_that_are_past_leave_room_for_others() -> None:
    order: list[str] = []

    def take() -> float:
        order.append("turn")
        asyncio.get_running_loop().call_soon(order.append, "other")
        return time.monotonic() + (FAR if len(order) > 4 else -1.0)

    task = asyncio.create_task(Turns(take).run(time.monotonic() - 1))
    await rounds(10)
    await end(task)
    assert order == ["turn", "other"] * 3


async def test_a_turn_can_be_hastened() -> None:
    taker = Taker()
    turns = Turns(taker)
    turns.hasten()
    task = asyncio.create_task(turns.run(time.monotonic() + FAR))
    await rounds()
    assert taker.times == []
    turns.hasten()
    turns.hasten()
    async with asyncio.timeout(60):
        await taker.done.wait()
    await rounds()
    assert len(taker.times) == 1
    await end(task)
    turns.hasten()
    await rounds()
    assert len(taker.times) == 1


async def test_nothing_is_done_once_it_was_cancelled() -> None:
    taker = Taker()
    turns = Turns(taker)
    task = asyncio.create_task(turns.run(time.monotonic() + FAR))
    await rounds()
    turns.hasten()
    asyncio.get_running_loop().call_soon(task.cancel)  # in the round of the turn, or the one before
    await asyncio.wait({task})
    count = len(taker.times)
    await rounds()
    assert (count, len(taker.times)) == (0, 0)


async def test_a_turn_that_fails_is_the_last_one() -> None:
    def take() -> float:
        raise ValueError("once")

    with pytest.raises(ValueError, match="once"):
        async with asyncio.timeout(60):
            await Turns(take).run(time.monotonic())
