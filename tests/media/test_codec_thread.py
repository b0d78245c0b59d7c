"""A thread for a codec: one thing after the other, and word of each to the event loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from entrenous.errors import CodecError
from entrenous.media.codec_thread import CodecThread


async def test_works_in_one_other_thread_in_order() -> None:
    thread = CodecThread("codec")
    done: list[int] = []
    names: list[str] = []

    def work(number: int) -> None:
        done.append(number)
        names.append(threading.current_thread().name)

    await asyncio.gather(*(thread.do(work, number) for number in range(5)))
    assert done == [0, 1, 2, 3, 4]
    assert set(names) == {"codec"}
    await thread.close(lambda: None)


async def test_what_fails_is_told_and_ends_nothing() -> None:
    thread = CodecThread("codec")

    def fail() -> None:
        raise CodecError("damaged")

    with pytest.raises(CodecError, match="damaged"):
        await thread.do(fail)
    assert await thread.do(lambda: 7) == 7
    await thread.close(lambda: None)


async def test_what_is_cancelled_before_its_turn_is_left_out() -> None:
    thread = CodecThread("codec")
    begun, go_on = threading.Event(), threading.Event()
    done: list[str] = []

    def busy() -> None:
        begun.set()
        go_on.wait(60)

    first = thread.do(busy)
    second = thread.do(done.append, "second")
    assert await asyncio.to_thread(begun.wait, 60)
    first.cancel()
    second.cancel()
    go_on.set()
    await thread.do(done.append, "third")
    assert done == ["third"]
    await thread.close(lambda: None)


async def test_the_end_comes_after_all_else_and_ends_the_thread() -> None:
    thread = CodecThread("codec that ends")
    done: list[str] = []
    work = thread.do(done.append, "work")
    await thread.close(lambda: done.append("end"))
    assert work.done()
    assert done == ["work", "end"]
    assert "codec that ends" not in {each.name for each in threading.enumerate()}


@pytest.mark.parametrize("works", [True, False])
async def test_it_can_be_closed_again_and_by_several_at_once(works: bool) -> None:
    thread = CodecThread("codec closed twice")
    done: list[str] = []
    if works:
        thread.do(done.append, "work")
    given_up = asyncio.ensure_future(thread.close(lambda: done.append("end")))
    await asyncio.sleep(0)
    given_up.cancel()
    async with asyncio.timeout(60):
        await asyncio.gather(*(thread.close(lambda: done.append("another end")) for _ in range(2)))
        await thread.close(lambda: done.append("a late end"))
    assert done == (["work", "end"] if works else ["end"])
    assert "codec closed twice" not in {each.name for each in threading.enumerate()}


async def test_without_any_work_there_is_no_thread_to_end() -> None:
    thread = CodecThread("idle codec")
    names: list[str] = []
    await thread.close(lambda: names.append(threading.current_thread().name))
    assert names == [threading.current_thread().name]


def test_an_event_loop_that_is_gone_is_not_told() -> None:
    done, go_on = threading.Event(), threading.Event()
    thread = CodecThread("late codec")

    async def leave() -> None:
        thread.do(go_on.wait, 60)

    asyncio.run(leave())
    go_on.set()

    async def follow() -> None:
        await thread.close(done.set)

    asyncio.run(follow())
    assert done.is_set()
