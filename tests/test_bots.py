"""Bots: one failing call takes no other down; each ready bot does what it says, in a real call."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from entrenous import (
    BLOCK_SAMPLES,
    Call,
    EndReason,
    MediaFileError,
    Node,
    NodeConfig,
    Samples,
    Strangers,
    ToneSource,
    asset_path,
)
from entrenous.bots import (
    BLOCK_SECONDS,
    LONGEST_ECHO,
    AnnouncementBot,
    Bot,
    EchoBot,
    EchoLine,
    RecorderBot,
    ended_by_signals,
)
from world.ear import Ear, tone_in
from world.serverproc import ServerProcess

PATIENCE = 60.0


def block(value: int) -> Samples:
    return np.full(BLOCK_SAMPLES, value, np.int16)


async def test_an_echo_keeps_its_own_time() -> None:
    line = EchoLine()
    await line.start()
    line.play(block(7), at=0.0)
    first, second = await line.read(), await line.read()
    assert first.samples[0] == 7
    assert not second.samples.any()  # nothing came in: silence, at the same cadence
    assert second.captured_at - first.captured_at == pytest.approx(BLOCK_SECONDS)
    assert line.video is None


async def test_an_echo_never_builds_up_delay() -> None:
    line = EchoLine()
    await line.start()
    for number in range(1, LONGEST_ECHO + 6):
        line.play(block(number), at=0.0)
    assert (await line.read()).samples[0] == 6
    await line.close()
    assert not (await line.read()).samples.any()


async def test_after_a_pause_an_echo_goes_on_from_now(monkeypatch: pytest.MonkeyPatch) -> None:
    line = EchoLine()
    await line.start()
    before = await line.read()
    later = time.monotonic() + 3600
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert (await line.read()).captured_at - before.captured_at > 3000


async def test_a_signal_ends_the_block_and_not_the_program() -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    for number in (signal.SIGTERM, signal.SIGINT):
        cleaned_up = False
        with ended_by_signals():
            try:
                os.kill(os.getpid(), number)
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                cleaned_up = True
        assert cleaned_up
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers


async def test_a_second_signal_ends_the_cleaning_up_too() -> None:
    with ended_by_signals():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
    await asyncio.sleep(0)


async def test_being_cancelled_by_anybody_else_ends_more_than_the_block() -> None:
    async def work() -> None:
        with ended_by_signals():
            await asyncio.Event().wait()

    for signals in (0, 1):
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        for _ in range(signals):
            os.kill(os.getpid(), signal.SIGTERM)
        while task.cancelling() < signals:  # noqa: ASYNC110 - the very turn of the loop that no event tells of
            await asyncio.sleep(0)
        assert task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ended_by_signals():
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0)
    finally:
        signal.signal(signal.SIGINT, before)


def test_where_a_loop_can_have_no_handlers_a_bot_works_all_the_same() -> None:
    async def work() -> str:
        with ended_by_signals():
            await asyncio.sleep(0)
        return "done"

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(asyncio.run, work()).result(PATIENCE) == "done"


class Started:
    """A bot at work, and a caller's node."""

    def __init__(self, caller: Node, bot: Node) -> None:
        self.caller = caller
        self.address = str(caller.contacts.add(str(bot.card)).address)


@asynccontextmanager
async def at_work(bot: Bot, server: str) -> AsyncIterator[Started]:
    """Run `bot` beside a node that may call it."""
    online: asyncio.Future[Node] = asyncio.get_running_loop().create_future()

    async def ready(node: Node) -> None:
        online.set_result(node)

    bot.ready = ready  # type: ignore[method-assign]  # what an override would do
    running = asyncio.create_task(bot.run())
    try:
        async with asyncio.timeout(PATIENCE), Node(configured(server, "caller")) as caller:
            yield Started(caller, await online)
    finally:
        running.cancel()
        await asyncio.wait((running,))


def configured(server: str, username: str) -> NodeConfig:
    return NodeConfig(server=server, username=username, loopback_only=True, strangers=Strangers.RING)


@pytest.fixture
def server(server: ServerProcess) -> str:
    """Where the server is that the tests share."""
    return f"ws://{server.listening}"


class MoodyBot(Bot):
    """Fails at the first call and at no other."""

    calls = 0

    async def answer(self, call: Call) -> None:
        self.calls += 1
        if self.calls == 1:
            raise RuntimeError("a bad day")
        await call.accept(send=ToneSource(440))
        await call.wait_ended()


async def test_one_failing_call_takes_no_other_down(server: str) -> None:
    bot = MoodyBot(configured(server, "bot"))
    async with at_work(bot, server) as started:
        first = await started.caller.call(started.address)
        assert (await first.wait_ended()).reason is EndReason.DECLINED
        ear = Ear(seconds=0.1)
        second = await started.caller.call(started.address, receive=ear)
        await ear.heard.wait()
        await second.hang_up()
        assert bot.calls == 2


async def test_a_call_that_is_too_long_is_ended(server: str) -> None:
    bot = EchoBot(configured(server, "bot"), longest=0.3)
    async with at_work(bot, server) as started:
        call = await started.caller.call(started.address)
        assert (await call.wait_ended()).reason is EndReason.REMOTE


async def test_the_echo_bot(server: str) -> None:
    async with at_work(EchoBot(configured(server, "bot")), server) as started:
        ear = Ear()
        call = await started.caller.call(started.address, send=ToneSource(440), receive=ear)
        await ear.heard.wait()
        await call.hang_up()
        assert ear.tone() == pytest.approx(440, abs=10)


async def test_a_bot_whose_file_cannot_be_read_does_not_even_go_online(tmp_path: Path) -> None:
    nowhere = configured("ws://127.0.0.1:9", "bot")
    with pytest.raises(MediaFileError):
        await AnnouncementBot(nowhere, __file__).run()
    with pytest.raises(MediaFileError):
        await RecorderBot(nowhere, tmp_path, greeting=tmp_path / "missing.opus").run()


async def test_the_recorder_bot_greets_and_records(server: str, tmp_path: Path) -> None:
    folder = tmp_path / "messages"
    bot = RecorderBot(configured(server, "bot"), folder, greeting=asset_path("speech-a.opus"))
    async with at_work(bot, server) as started:
        ear = Ear()
        call = await started.caller.call(started.address, send=ToneSource(550), receive=ear)
        await ear.heard.wait()
        await call.hang_up()
    recording = folder / f"{call.id}.ogg"
    assert tone_in(recording) == pytest.approx(550, abs=10)
