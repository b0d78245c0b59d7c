"""A node in a process of its own, for tests that kill it, put it into a network of its own or want it to share nothing.

Run as a program it uses the public names of `entrenous` only. It is told what to do by lines of JSON on standard
input, answers every call that rings unless told to wait, and says what happens by lines of JSON on standard output.
The end of its input ends it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from entrenous import (
    Call,
    CallEvent,
    Ended,
    Node,
    NodeConfig,
    Notice,
    Profile,
    Recorder,
    Sink,
    Source,
    TestCardSource,
    Timeouts,
    ToneSource,
    register,
)

from .hearing import ToneEar

PASSPHRASE = "a passphrase of a test"
START_SECONDS = 60.0
PATIENCE = 60.0
"""Seconds after which what a test waits for will not come any more."""
_LINE = 1 << 22


class NodeProcess:
    """A node that runs, and what it says.

    Args:
        process: started by `running_node`.

    Attributes:
        said: every object up to the last that was expected; each has an `event` and, as `at`, the monotonic time.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.card = ""
        self.address = ""
        self.said: list[dict[str, Any]] = []

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def tell(self, **command: object) -> None:
        """Say what it is to do, see `_Talker`: `do` is add, call, accept, hang-up, delete-account, stats or heard."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def expect(
        self, event: str, *, within: float = PATIENCE, unless: str = "", **details: object
    ) -> dict[str, Any]:
        """The next object with this `event` and these details; those before it are only kept in `said`.

        Raises:
            TimeoutError: it did not come `within` these seconds.
            AssertionError: an `unless` came before it, or the process ended.
        """
        try:
            async with asyncio.timeout(within):
                while (said := await self._next()) is not None:
                    if said["event"] == event and all(said.get(name) == value for name, value in details.items()):
                        return said
                    if said["event"] == unless:
                        raise AssertionError(f"instead of {event} came {said}")
        except TimeoutError:
            raise TimeoutError(f"{event} did not come; the last was {self.said[-1:]}") from None
        raise AssertionError(f"the node ended without saying {event}")

    async def stats(self) -> dict[str, Any]:
        """Figures of its last call, its path and when it reached which stage (`timings`)."""
        self.tell(do="stats")
        return await self.expect("Stats")

    async def heard(self, since: float = 0.0) -> list[tuple[float, float]]:
        """Time and level of each block of sound of its last call from `since` on; it needs the option `hear`."""
        self.tell(do="heard", since=since)
        return [(at, level) for at, level in (await self.expect("Heard"))["blocks"]]

    async def kill(self) -> None:
        """SIGKILL: it can tell nobody."""
        self._process.kill()
        await self._process.wait()

    async def close(self) -> None:
        """Let it end by itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(PATIENCE):
            await self._process.wait()

    async def _next(self) -> dict[str, Any] | None:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            return None
        said: dict[str, Any] = json.loads(line)
        self.said.append(said)
        return said


@asynccontextmanager
async def running_node(
    server: str, username: str, *, prefix: Sequence[str] = (), **options: object
) -> AsyncIterator[NodeProcess]:
    """Start a node and wait until it is online; it is ended afterwards.

    Args:
        server: the URL of its server.
        username: what it registers, unless its profile is there already.
        prefix: goes before its command line, to run it elsewhere.
        options: `profile` (a folder, so that the account outlives the process), `record` (a file for what the calls
            receive), `reconnect` (seconds until a broken call is given up), `settings` (of the configuration, as in
            its file; without them it stays on loopback), `tone` (Hz: it sends this and no picture), `hear` (Hz: it
            listens for that), `patient` (True: it accepts when told to), `descriptions` (True: it says what it tells
            the peer of its addresses).
    """
    arguments = json.dumps({"server": server, "username": username, **options}, default=str)
    process = await asyncio.create_subprocess_exec(
        *(*prefix, sys.executable, "-m", "world.nodeproc", arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(Path(__file__).parents[1]), *sys.path))},
        limit=_LINE,
    )
    node = NodeProcess(process)
    try:
        ready = await node.expect("Ready", within=START_SECONDS)
        node.card, node.address = ready["card"], ready["address"]
        yield node
    finally:
        if process.returncode is None:
            try:
                await node.close()
            finally:
                if process.returncode is None:
                    await node.kill()


class _Talker:
    """The program: does what it is told and says what it sees."""

    def __init__(self, node: Node, options: dict[str, Any]) -> None:
        self._node = node
        self._options = options
        self._call: Call | None = None
        self._ear: ToneEar | None = None

    async def obey(self, lines: asyncio.StreamReader) -> None:
        """Carry out each line until there are no more."""
        while line := await lines.readline():
            command = json.loads(line)
            if command["do"] == "add":
                self._node.contacts.add(command["card"])
            elif command["do"] == "call":
                self._follow(await self._node.call(command["whom"], send=self._source(), receive=self._sink()))
            elif command["do"] == "hang-up":
                if self._call is not None:
                    await self._call.hang_up()
                _say("Quiet")
            elif command["do"] == "delete-account":
                await self._node.delete_account()
                _say("Deleted")
            else:
                assert self._call is not None
                await self._tell(self._call, command)

    async def _tell(self, call: Call, command: dict[str, Any]) -> None:
        match command["do"]:
            case "accept":
                await call.accept(send=self._source(), receive=self._sink())
            case "stats":
                _say("Stats", **call.stats().to_dict(), timings=dict(call.timings))
            case "heard":
                blocks = [] if self._ear is None else self._ear.blocks
                _say("Heard", blocks=[block for block in blocks if block[0] >= command["since"]])
            case unknown:
                raise ValueError(unknown)

    async def answer(self) -> None:
        """Accept whatever rings."""
        async for call in self._node.incoming():
            _say("Incoming", call=call.id)
            self._follow(call)
            if not self._options["patient"]:
                await call.accept(send=self._source(), receive=self._sink())

    async def watch(self) -> None:
        """Say what the node tells beside its calls."""
        async for notice in self._node.notices():
            _say(type(notice).__name__, **{name: str(value) for name, value in _details(notice).items()})

    def _follow(self, call: Call) -> None:
        self._call = call
        self._node.spawn(self._tell_of(call))

    @staticmethod
    async def _tell_of(call: Call) -> None:
        async for event in call:
            _say(type(event).__name__, call=call.id, **_details(event))

    def _source(self) -> Source:
        if self._options["tone"] is not None:
            return ToneSource(self._options["tone"])
        # Small, so that what is seen is the time line of the call and not how busy the machine is.
        return TestCardSource(320, 180, beep=True)

    def _sink(self) -> Sink | None:
        if self._options["hear"] is not None:
            self._ear = ToneEar(self._options["hear"])
            return self._ear
        return None if self._options["record"] is None else Recorder(self._options["record"])


def _details(event: CallEvent | Notice) -> dict[str, object]:
    of = event.outcome if isinstance(event, Ended) else event
    found = {field.name: getattr(of, field.name) for field in fields(of)}
    if "at" in found:
        found["media_at"] = found.pop("at")
    return found


def _say(event: str, **details: object) -> None:
    print(json.dumps({"event": event, "at": time.monotonic(), **details}, default=str), flush=True)


async def _account(config: NodeConfig, username: str) -> Profile:
    assert config.profile is not None
    if config.profile.exists():
        return Profile.open(config.profile, PASSPHRASE)
    return await register(config, username, passphrase=PASSPHRASE)


async def _main(server: str, username: str, options: dict[str, Any]) -> None:
    table = {"server": server, "username": username, **(options["settings"] or {"loopback_only": True})}
    if options["profile"] is not None:
        table["profile"] = options["profile"]
    config = NodeConfig.from_table(table, base=Path.cwd())
    account = None if config.profile is None else await _account(config, username)
    timeouts = None if options["reconnect"] is None else Timeouts(reconnect=options["reconnect"])
    if options["descriptions"]:
        from .leaks import report_descriptions

        report_descriptions(lambda text: _say("Described", text=text))
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with Node(config, profile=account, timeouts=timeouts) as node:
        talker = _Talker(node, options)
        node.spawn(talker.answer())
        node.spawn(talker.watch())
        _say("Ready", card=str(node.card), address=str(node.address))
        await talker.obey(lines)


_OPTIONS = ("profile", "record", "reconnect", "settings", "tone", "hear", "patient", "descriptions")

if __name__ == "__main__":
    _given = dict.fromkeys(_OPTIONS) | json.loads(sys.argv[1])
    asyncio.run(_main(_given.pop("server"), _given.pop("username"), _given))
