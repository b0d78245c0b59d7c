"""Each example runs as a process of its own against a real server, and is called for real."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from entrenous import SAMPLE_RATE, EndReason, Node, NodeConfig, ToneSource, asset_path
from world.ear import Ear, tone_in
from world.serverproc import running_server

EXAMPLES = Path(__file__).parent.parent / "examples"
PATIENCE = 60.0


class Example:
    """A running example and a node that can call it."""

    def __init__(self, bot: asyncio.subprocess.Process, caller: Node, card: str) -> None:
        self._bot = bot
        self.caller = caller
        self.address = str(caller.contacts.add(card).address)

    async def end_by(self, number: signal.Signals) -> int:
        """Send it a signal; returns its exit code."""
        self._bot.send_signal(number)
        async with asyncio.timeout(PATIENCE):
            return await self._bot.wait()

    async def says(self) -> str:
        """The next line that the example prints."""
        assert self._bot.stdout is not None
        return (await self._bot.stdout.readline()).decode().strip()


@asynccontextmanager
async def running(folder: Path, name: str, *arguments: object) -> AsyncIterator[Example]:
    """The server, the example `name`, and a caller."""
    async with running_server(folder) as server:
        url = f"ws://{server.listening}"
        config = folder / "bot.toml"
        config.write_text(
            f'server = "{url}"\nusername = "bot"\nstrangers = "ring"\nloopback_only = true\n', encoding="utf-8"
        )
        bot = await asyncio.create_subprocess_exec(
            sys.executable,
            *(str(EXAMPLES / name), str(config), *map(str, arguments)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            assert bot.stdout is not None
            card = (await bot.stdout.readline()).decode().strip()
            caller_config = NodeConfig(server=url, username="caller", loopback_only=True)
            async with asyncio.timeout(PATIENCE), Node(caller_config) as caller:
                yield Example(bot, caller, card)
        finally:
            if bot.returncode is None:
                bot.terminate()
            _, complaints = await bot.communicate()
            assert complaints.decode() == ""
            assert bot.returncode == 0


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short_and_says_how_it_is_run(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < 40
    assert f"python examples/{path.name}" in text.partition("\n")[0]


async def test_the_echo_bot_returns_the_tone(tmp_path: Path) -> None:
    async with running(tmp_path, "echo_bot.py") as example:
        ear = Ear()
        call = await example.caller.call(example.address, send=ToneSource(440), receive=ear)
        await ear.heard.wait()
        await call.hang_up()
        assert ear.tone() == pytest.approx(440, abs=10)
        assert "WordsKnown" in await example.says() + await example.says()


async def test_the_announcement_is_heard_and_the_bot_hangs_up(tmp_path: Path) -> None:
    announcement = tmp_path / "hello.wav"
    with wave.open(str(announcement), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        moments = np.arange(SAMPLE_RATE) / SAMPLE_RATE
        file.writeframes((8000 * np.sin(2 * np.pi * 660 * moments)).astype(np.int16).tobytes())
    async with running(tmp_path, "announcement_bot.py", announcement) as example:
        ear = Ear()
        call = await example.caller.call(example.address, receive=ear)
        outcome = await call.wait_ended()
        assert outcome.reason is EndReason.REMOTE
        assert ear.heard.is_set()
        assert ear.tone() == pytest.approx(660, abs=10)
        assert (await example.says()).endswith("is caller number 1")


async def test_the_recording_holds_the_tone(tmp_path: Path) -> None:
    async with running(tmp_path, "recorder_bot.py", tmp_path / "messages") as example:
        ear = Ear(seconds=1.0)
        call = await example.caller.call(example.address, send=ToneSource(550), receive=ear)
        await ear.heard.wait()  # a second of the bot's own quiet tone: as much of ours is recorded by then
        await call.hang_up()
        recording = Path(await example.says())
        assert recording.parent == tmp_path / "messages"
        assert recording.name.startswith("caller-")
        assert tone_in(recording) == pytest.approx(550, abs=10)


@pytest.mark.parametrize(
    ("name", "number", "arguments"),
    [
        ("announcement_bot.py", signal.SIGTERM, (asset_path("speech-a.opus"),)),
        ("announcement_bot.py", signal.SIGINT, (asset_path("speech-a.opus"),)),
        ("echo_bot.py", signal.SIGTERM, ()),
    ],
)
async def test_a_bot_that_is_ended_hangs_up_first(
    tmp_path: Path, name: str, number: signal.Signals, arguments: tuple[Path, ...]
) -> None:
    async with running(tmp_path, name, *arguments) as example:
        ear = Ear(seconds=0.1)
        call = await example.caller.call(example.address, send=ToneSource(440), receive=ear)
        await ear.heard.wait()
        assert await example.end_by(number) == 0
        assert (await call.wait_ended()).reason is EndReason.REMOTE
