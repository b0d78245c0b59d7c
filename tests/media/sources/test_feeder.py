"""A generator in a thread: read ahead a little, ended and failed in order, and never left behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator

import pytest

from entrenous.media.sources.feeder import Feeder


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


async def test_items_arrive_in_order_and_then_the_end() -> None:
    def numbers() -> Generator[int, None, None]:
        yield from range(100)

    feeder = Feeder(numbers, depth=3, name="test numbers")
    assert [await feeder.get() for _ in range(102)] == [*range(100), None, None]
    await feeder.close()


async def test_it_reads_ahead_no_further_than_it_may() -> None:
    made: list[int] = []

    def numbers() -> Generator[int, None, None]:
        for number in range(1000):
            made.append(number)
            yield number

    feeder = Feeder(numbers, depth=3, name="test ahead")
    assert await feeder.get() == 0
    # Real time: that a thread does not go on can only be seen by leaving it the time to.
    await asyncio.to_thread(feeder._thread.join, 0.2)
    assert made == [0, 1, 2, 3, 4], "one taken, three ready, one in hand"
    await feeder.close()


async def test_peek_shows_what_get_would_give() -> None:
    def numbers() -> Generator[int, None, None]:
        yield from (6, 7)

    feeder = Feeder(numbers, depth=3, name="test peek")
    assert await feeder.get() == 6
    await feeder._arrived.wait()
    feeder._thread.join()
    await asyncio.sleep(0)
    assert (feeder.peek(), await feeder.get(), feeder.peek()) == (7, 7, None)
    await feeder.close()


async def test_look_waits_for_what_get_gives_next() -> None:
    def numbers() -> Generator[int, None, None]:
        yield from (6, 7)

    feeder = Feeder(numbers, depth=1, name="test look")
    assert [await feeder.look(), await feeder.look(), await feeder.get()] == [6, 6, 6]
    assert [await feeder.look(), await feeder.get(), await feeder.look(), await feeder.get()] == [7, 7, None, None]
    await feeder.close()


async def test_an_error_comes_after_the_items_before_it() -> None:
    def broken() -> Generator[int, None, None]:
        yield 1
        raise ValueError("broken")

    feeder = Feeder(broken, depth=3, name="test broken")
    assert await feeder.get() == 1
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            await feeder.get()
    await feeder.close()


async def test_closing_ends_the_thread_the_generator_and_who_waits() -> None:
    closed = threading.Event()
    go_on = threading.Event()

    def endless() -> Generator[int, None, None]:
        try:
            yield 1
            go_on.wait(60)
            while True:
                yield 2
        finally:
            closed.set()

    feeder = Feeder(endless, depth=1, name="test endless")
    assert await feeder.get() == 1
    waiting = asyncio.ensure_future(feeder.get())
    await asyncio.sleep(0)
    go_on.set()
    await feeder.close()
    await feeder.close()
    assert await waiting in (2, None)
    assert closed.is_set()
    assert "test endless" not in threads()
    assert await feeder.get() is None
