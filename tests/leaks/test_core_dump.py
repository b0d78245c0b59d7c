"""What a dump of the server's memory tells of calls that are over, once the time is over for which it remembers them.

Of an ordinary server it tells no message and no frame of one: what has more than a kilobyte is overwritten when it is
freed. Smaller pieces that were freed, a name or an id by itself, are left to chance. So a second server is started
in a way that overwrites those too, and all that is found in its memory is what it still knows.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from world.canaries import Trace, search
from world.seizure import memory_of
from world.serverproc import ServerProcess
from world.working_day import (
    ADDRESS,
    CALL,
    CLOSED_RECORD,
    DEVICE,
    GONE_DEVICE,
    GONE_NAME,
    LETTER,
    LETTER_BODY,
    MESSAGE,
    NAME,
    STRANGER,
    STRANGERS_ADDRESS,
    TAKEN,
    TAKEN_BODY,
    WorkingDay,
)

PATIENCE = 60.0

OVERWRITING = ("env", "PYTHONMALLOC=malloc", "MALLOC_PERTURB_=165", "GLIBC_TUNABLES=glibc.malloc.tcache_count=0")
"""How a program is started whose freed memory is overwritten, down to the smallest piece."""

SETTINGS = """
trusted_proxies = ["127.0.0.1"]
grace_seconds = 1.0
[limits]
limit_loopback = true
relay_rate = {per_second = 10.0, burst = 1.0}
account_rate = {per_second = 1000.0, burst = 1000.0}
directory_rate = {per_second = 1000.0, burst = 1000.0}
"""
"""Memory that is counted in minutes counted in seconds."""

ACCOUNTS = {NAME, DEVICE, LETTER, LETTER_BODY}
"""What is registered here, and what waits."""

CACHED = {GONE_NAME, GONE_DEVICE, TAKEN, TAKEN_BODY, CLOSED_RECORD}
"""SQLite's cache and its prepared statements hold what was read and written last, until something else is."""

ASKED_FOR = {STRANGER, STRANGERS_ADDRESS}
"""The hosts that HTTP requests have named last, and who sent what is no HTTP: in a cache of the library that takes URLs
apart, and in errors that lead to themselves until the garbage collector comes by. No node does either."""

CONNECTED = {ADDRESS}

needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc is what overwrites freed memory")


@asynccontextmanager
async def after_a_morning(folder: Path, prefix: Sequence[str] = ()) -> AsyncIterator[tuple[ServerProcess, WorkingDay]]:
    """A server with people who are connected, and whose calls are over."""
    config = folder / "server.toml"
    config.write_text(SETTINGS)
    server = ServerProcess(folder, {"config": config}, prefix=prefix)
    try:
        await server.start()
        async with WorkingDay(server) as day:
            await day.morning(resumed=False)
            yield server, day
    finally:
        await server.stop()


def traces(server: ServerProcess, day: WorkingDay) -> list[Trace]:
    """The canaries in its memory."""
    assert server.process is not None
    memory = memory_of(server.process.pid)
    assert sum(map(len, memory.values())) > 10_000_000
    looked_for = day.canaries
    return [trace for place, data in memory.items() for trace in search(place, data, looked_for, memory=True)]


async def until_known(server: ServerProcess, day: WorkingDay, may_be_known: set[str]) -> set[str]:
    """Wait until nothing else is known; returns what is."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await asyncio.to_thread(traces, server, day)
            surplus = {(trace.what, trace.form) for trace in found if trace.what not in may_be_known}
            if not surplus:
                return {trace.what for trace in found}
            print("still known:", sorted(surplus))
            await asyncio.sleep(0.5)  # it is forgotten after a time, and nobody is told when


@needs_glibc
async def test_of_calls_that_are_over_nothing_is_known(tmp_path: Path) -> None:
    async with after_a_morning(tmp_path, OVERWRITING) as (server, day):
        known = await until_known(server, day, ACCOUNTS | CACHED | ASKED_FOR | CONNECTED)
        assert known >= {NAME, DEVICE} | CONNECTED
        for who in ("anna", "cara"):
            await day.at(who).leave()
        day.at("ben").wire.cut()
        await until_known(server, day, ACCOUNTS | CACHED | ASKED_FOR)


@needs_glibc
async def test_no_message_of_a_call_is_left_in_the_memory_of_an_ordinary_server(tmp_path: Path) -> None:
    async with after_a_morning(tmp_path) as (server, day):
        async with asyncio.timeout(PATIENCE):
            while found := frames(await asyncio.to_thread(traces, server, day)):
                print("still there:", found)
                await asyncio.sleep(0.5)  # the last frames are overwritten when something else is said


def frames(found: list[Trace]) -> set[tuple[str, str]]:
    """What is a message, or stands in the frame of one, where ids are in base64 beside names."""
    alone = {"as it is", "hexadecimal"}
    may_be_there = ACCOUNTS | CACHED | ASKED_FOR | CONNECTED
    left = {(trace.what, trace.form) for trace in found if trace.what not in may_be_there}
    return {(what, form) for what, form in left if what not in (CALL, MESSAGE) or form not in alone}
