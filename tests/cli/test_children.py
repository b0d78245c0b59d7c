"""Processes that a command starts: heard, and ended whatever happens."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from entrenous.cli import children
from entrenous.cli.children import Child, ChildError, child

TALKER = """
import json, os, sys, time
print("no json", flush=True)
print(json.dumps({"event": "first"}), flush=True)
print(json.dumps({"event": "ready", "word": os.environ.get("WORD")}), flush=True)
sys.stdin.read()
time.sleep(600)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('{"event": "ready"}', flush=True)
time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pid_of(process: Child) -> int:
    return process._process.pid


async def test_it_is_heard_and_ended() -> None:
    async with child("A talker", ["-c", TALKER], environment={"WORD": "oak"}) as talker:
        assert await talker.expect(None, within=30) == {"event": "first"}
        assert (await talker.expect("ready", within=30))["word"] == "oak"
        assert alive(pid_of(talker))
    assert not alive(pid_of(talker))


async def test_it_is_ended_after_an_error_too() -> None:
    with pytest.raises(RuntimeError):
        async with child("A talker", ["-c", TALKER]) as talker:
            raise RuntimeError
    assert not alive(pid_of(talker))


async def test_it_is_ended_when_the_command_is_cancelled() -> None:
    started: asyncio.Future[Child] = asyncio.get_running_loop().create_future()

    async def command() -> None:
        async with child("A talker", ["-c", TALKER]) as talker:
            await talker.expect("ready", within=30)
            started.set_result(talker)
            await asyncio.Event().wait()

    task = asyncio.create_task(command())
    talker = await started
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(pid_of(talker))


async def test_one_that_does_not_listen_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "END_SECONDS", 0.2)
    began = time.monotonic()
    async with child("A stubborn one", ["-c", STUBBORN]) as stubborn:
        await stubborn.expect("ready", within=30)
    assert not alive(pid_of(stubborn))
    assert time.monotonic() - began < 60


async def test_what_it_said_last_is_told_when_it_fails() -> None:
    async with child("It", ["-c", "import sys; sys.exit('out of luck')"]) as failing:
        with pytest.raises(ChildError, match=r"It ended too early\. It said: out of luck"):
            await failing.expect("ready", within=30)


async def test_waiting_has_an_end() -> None:
    async with child("It", ["-c", "import time; time.sleep(600)"]) as silent:
        with pytest.raises(ChildError, match="did not say ready"):
            await silent.expect("ready", within=0.05)
