"""CallTasks: steps that break are told, and none outlives the call."""

from __future__ import annotations

import asyncio

import pytest

from entrenous import call_tasks
from entrenous.call_tasks import CallTasks


async def test_a_step_that_breaks_is_told_and_takes_no_other_down() -> None:
    broken: list[Exception] = []
    tasks = CallTasks(broken.append)
    done = asyncio.Event()

    async def breaks() -> None:
        raise ZeroDivisionError

    async def works() -> None:
        done.set()

    tasks.spawn(breaks())
    tasks.prepare(works())
    await done.wait()
    await tasks.finish()
    assert [type(error) for error in broken] == [ZeroDivisionError]
    assert len(tasks) == 0


async def test_the_end_cuts_preparations_short_and_carries_the_rest_through() -> None:
    broken: list[Exception] = []
    tasks = CallTasks(broken.append)
    closed: list[str] = []

    async def waits_for_a_server() -> None:
        await asyncio.Event().wait()

    async def closes_something() -> None:
        await asyncio.sleep(0)
        closed.append("closed")

    tasks.prepare(waits_for_a_server())
    tasks.spawn(closes_something())
    await asyncio.sleep(0)
    await tasks.finish()
    assert closed == ["closed"]
    assert (len(tasks), broken) == (0, [])


@pytest.mark.filterwarnings("error")
async def test_a_step_that_never_came_to_its_turn_is_cut_short_too() -> None:
    tasks = CallTasks(lambda error: None)

    async def waits_for_a_server() -> None:
        raise AssertionError("it has not begun when the call ends")

    tasks.prepare(waits_for_a_server())
    await tasks.finish()
    assert len(tasks) == 0


async def test_what_does_not_stop_in_time_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_tasks, "CLEANUP_SECONDS", 0.01)
    tasks = CallTasks(lambda error: None)

    async def hangs() -> None:
        await asyncio.Event().wait()

    tasks.spawn(hangs())
    await tasks.finish()
    assert len(tasks) == 0
