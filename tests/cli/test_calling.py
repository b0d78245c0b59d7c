"""`entrenous call` and `entrenous answer` as real processes with a real server, in a terminal and without one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from entrenous import NodeConfig, Profile, register
from entrenous.cli.exits import ExitCode
from entrenous.cli.options import load_config, save_config
from lab import pulse
from world.serverproc import running_server
from world.terminal import in_terminal

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASSPHRASE = "four words in a row"
PATIENCE = 60.0
ENTRENOUS = (sys.executable, "-m", "entrenous.cli")


class Command:
    """A running `entrenous … --json`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.seen: list[dict[str, Any]] = []

    async def event(self, name: str) -> dict[str, Any]:
        """The next object whose `event` is this one."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while line := await self.process.stdout.readline():
                self.seen.append(json.loads(line))
                if self.seen[-1]["event"] == name:
                    return self.seen[-1]
        raise AssertionError(f"no {name} among {[value['event'] for value in self.seen]}")

    async def end(self) -> ExitCode:
        """Its exit code."""
        async with asyncio.timeout(PATIENCE):
            _, errors = await self.process.communicate()
        assert b"Traceback" not in errors
        return ExitCode(self.process.returncode or 0)


@dataclass
class Lab:
    """A server, and accounts that know each other."""

    folder: Path
    url: str
    accounts: dict[str, Profile]

    def address(self, name: str) -> str:
        return str(self.accounts[name].address)

    def options(self, name: str) -> tuple[str, ...]:
        return "--profile", str(self.folder / name), "--no-audio-device"

    @asynccontextmanager
    async def runs(self, *arguments: str, environment: Mapping[str, str] | None = None) -> AsyncIterator[Command]:
        process = await asyncio.create_subprocess_exec(
            *ENTRENOUS,
            *arguments,
            "--json",
            env={**os.environ, **(environment or {}), "ENTRENOUS_PASSPHRASE": PASSPHRASE},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield Command(process)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


@asynccontextmanager
async def lab_in(tmp_path: Path, **server_options: object) -> AsyncIterator[Lab]:
    async with running_server(tmp_path, **server_options) as server:
        url = f"ws://{server.listening}"
        accounts: dict[str, Profile] = {}
        for name in ("alice", "bob", "carol"):
            config = NodeConfig(server=url, profile=tmp_path / name, username=name, loopback_only=True)
            accounts[name] = await register(config, name, passphrase=PASSPHRASE)
            save_config(config, tmp_path / name)
        for account in accounts.values():
            for other in accounts.values():
                if other is not account:
                    account.contacts.add(str(other.card))
        yield Lab(tmp_path, url, accounts)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """One for all tests of this file: each leaves nobody online behind."""
    async with lab_in(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


async def test_answering_in_a_terminal(lab: Lab) -> None:
    answer = (*ENTRENOUS, "answer", *lab.options("bob"))
    async with in_terminal(*answer, environment={"ENTRENOUS_PASSPHRASE": PASSPHRASE}) as bob:
        await bob.shows(f"Waiting for calls as {lab.address('bob')}. Ctrl-C ends.")

        async with lab.runs("call", "bob", *lab.options("alice")) as declined:
            await bob.shows(f"{lab.address('alice')} · rings")
            await bob.shows("a accept, d decline")
            assert not bob.echoes()
            bob.types("d")
            assert (await declined.event("result"))["outcome"]["reason"] == "declined"
            assert await declined.end() is ExitCode.DECLINED

        async with lab.runs("call", "bob", *lab.options("alice")) as alice:
            await bob.shows(" · rings")
            bob.types("a")
            words = " ".join((await alice.event("words-known"))["words"])
            await bob.shows(" · in call · ")
            await bob.shows(words)
            await bob.shows("kbit/s · loss 0.0 % ·")

            async with lab.runs("call", "bob", *lab.options("carol")) as carol:
                assert await carol.end() is ExitCode.BUSY

            bob.types("m")
            await bob.shows("MUTED")
            while not (await alice.event("peer-media"))["audio_muted"]:
                pass  # the first one tells how the call began
            bob.types("h")
            result = await alice.event("result")
            assert result["outcome"]["reason"] == "remote"
            assert result["words"] == words.split()
            assert result["verified"] is True
            assert result["path"] == "direct"
            assert result["stats"]["audio"]["played"] > 0
            assert {"dialled", "alerting", "active", "first_audio", "ended"} <= set(result["timings"])
            assert await alice.end() is ExitCode.OK

        await bob.shows("You ended the call.")
        bob.types("\x03")
        assert await bob.process.wait() == ExitCode.INTERRUPTED
        assert bob.echoes()


async def test_a_signal_hangs_up_before_the_process_ends(lab: Lab) -> None:
    async with lab.runs("answer", "--auto", *lab.options("bob")) as bob:
        await bob.event("ready")
        async with lab.runs("call", "bob", *lab.options("alice")) as alice:
            await alice.event("active")
            alice.process.send_signal(signal.SIGTERM)
            assert (await alice.event("result"))["outcome"]["reason"] == "local"
            assert await alice.end() is ExitCode.TERMINATED
        assert (await bob.event("result"))["outcome"]["reason"] == "remote"

        async with lab.runs("call", "bob", *lab.options("alice")) as alice:
            await alice.event("active")
            bob.process.send_signal(signal.SIGINT)
            assert (await bob.event("result"))["outcome"]["reason"] == "local"
            assert await bob.end() is ExitCode.INTERRUPTED
            assert (await alice.event("result"))["outcome"]["reason"] == "remote"
            assert await alice.end() is ExitCode.OK


@pytest.mark.skipif(pulse.MISSING is not None, reason=str(pulse.MISSING))
async def test_a_headset_that_is_pulled_out_in_the_call_is_told(lab: Lab) -> None:
    node_file = lab.folder / "alice" / "node.toml"
    plain = node_file.read_text()
    node_file.write_text(plain + '[media]\nmicrophone = "headset"\nheadset = true\n')
    with pulse.sound_card() as card, ExitStack() as plug, ExitStack() as undone:
        undone.callback(node_file.write_text, plain)
        plug.enter_context(card.headset())
        with_headset = ("--profile", str(lab.folder / "alice"), "--speaker", "headset")
        async with lab.runs("answer", "--auto", "--once", *lab.options("bob")) as bob:
            await bob.event("ready")
            async with lab.runs("call", "bob", *with_headset, environment=card.environment) as alice:
                await alice.event("first-media")  # both devices are open
                plug.close()
                changes = [await alice.event("device-change") for _ in range(2)]
                assert sorted((each["direction"], each["device"], each["wanted"]) for each in changes) == [
                    ("microphone", "default", False),
                    ("speaker", "default", False),
                ]
                alice.process.send_signal(signal.SIGTERM)
                await alice.event("result")
                assert await alice.end() is ExitCode.TERMINATED


async def test_nobody_is_there(tmp_path: Path) -> None:
    impatient = tmp_path / "server.toml"
    impatient.write_text("grace_seconds = 0.5\n")  # how long a device that was just seen is expected back
    async with lab_in(tmp_path, config=impatient) as lab:
        lab.accounts["alice"].contacts.add(f"nobody@{lab.accounts['alice'].address.host}")
        offline = lab.runs("call", "bob", *lab.options("alice"))
        unknown = lab.runs("call", "nobody", *lab.options("alice"))
        async with offline as calling:
            assert (await calling.event("result"))["outcome"]["reason"] == "offline"
            assert await calling.end() is ExitCode.UNANSWERED
        async with unknown as calling:
            assert (await calling.event("result"))["outcome"]["reason"] == "unknown-user"
            assert await calling.end() is ExitCode.UNKNOWN_CONTACT


async def test_a_contact_with_another_key(lab: Lab) -> None:
    wrong = f"entrenous:{lab.address('carol')}#{lab.accounts['alice'].card.fingerprint}"
    memory = ("--in-memory", "--server", lab.url, "--no-audio-device", "--username", "mallet", "--contact", wrong)
    async with lab.runs("call", "carol", *memory) as calling:
        assert await calling.end() is ExitCode.KEY_CHANGED


async def test_registering(lab: Lab) -> None:
    where = ("--server", lab.url, "--profile", str(lab.folder / "dave"))
    async with lab.runs("register", "bob@127.0.0.1", *where) as taken:
        assert await taken.end() is ExitCode.REFUSED
    async with lab.runs("register", "dave@127.0.0.1", *where) as fresh:
        assert await fresh.end() is ExitCode.OK
    assert load_config(lab.folder / "dave").url == lab.url
    assert str(Profile.open(lab.folder / "dave", PASSPHRASE).address) == lab.address("alice").replace("alice", "dave")


async def test_an_account_in_memory_leaves_nothing_on_disk(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    home = lab.folder / "home"
    home.mkdir()
    for variable in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(home))
    memory = ("--in-memory", "--server", lab.url, "--no-audio-device")
    recording = lab.folder / "heard.ogg"
    echo = ("answer", "--auto", "--once", "--username", "echo", "--strangers", "ring", *memory)
    async with lab.runs(*echo) as answering:
        card = (await answering.event("ready"))["card"]
        call = ("call", "echo", "--username", "visitor", "--contact", card, *memory)
        async with lab.runs(*call, "--for", "0.5", "--record-audio", str(recording)) as calling:
            result = await calling.event("result")
            assert result["outcome"]["reason"] == "local"
            assert 0.5 <= result["outcome"]["seconds"] < 10
            assert await calling.end() is ExitCode.OK
        incoming = await answering.event("incoming")
        assert (incoming["known"], incoming["video"]) == (False, False)
        assert await answering.end() is ExitCode.OK
    assert recording.stat().st_size > 0
    assert list(home.iterdir()) == []
