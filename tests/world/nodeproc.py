"""A node in a process of its own, for tests that kill it or want two of them to share nothing.

Run as a program it uses the public names of `entrenous` only. It is told what to do by lines of JSON on standard
input, answers every call that rings, and says what happens by lines of JSON on standard output. The end of its
input ends it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from entrenous import Call, Ended, Node, NodeConfig, Profile, Recorder, Sink, TestCardSource, Timeouts, register

PASSPHRASE = "a passphrase of a test"
START_SECONDS = 30.0
PATIENCE = 20.0
"""Seconds after which what a test waits for will not come any more."""


class NodeProcess:
    """A node that runs, and what it says.

    Args:
        process: started by `running_node`.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.card = ""
        self.address = ""

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def tell(self, **command: object) -> None:
        """Say what it is to do: `do` is `add`, `call` or `hang-up`; see `_Talker`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def expect(self, event: str, *, within: float = PATIENCE, **details: object) -> dict[str, Any]:
        """The next object with this `event` and these details; those before it are dropped."""
        assert self._process.stdout is not None
        async with asyncio.timeout(within):
            while line := await self._process.stdout.readline():
                said = json.loads(line)
                if said["event"] == event and all(said.get(name) == value for name, value in details.items()):
                    return said
        raise AssertionError(f"the node ended without saying {event}")

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


@asynccontextmanager
async def running_node(server: str, username: str, **options: object) -> AsyncIterator[NodeProcess]:
    """Start a node and wait until it is online; it is ended afterwards.

    Args:
        server: the URL of its server.
        username: what it registers, unless its profile is there already.
        options: `profile` (a folder, so that the account outlives the process), `record` (a file for what the calls
            receive), `reconnect` (seconds until a broken call is given up).
    """
    arguments = json.dumps({"server": server, "username": username, **options}, default=str)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "world.nodeproc", arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
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

    def __init__(self, node: Node, record: str | None) -> None:
        self._node = node
        self._record = record
        self._call: Call | None = None

    async def obey(self, lines: asyncio.StreamReader) -> None:
        """Carry out each line until there are no more."""
        while line := await lines.readline():
            command = json.loads(line)
            match command["do"]:
                case "add":
                    self._node.contacts.add(command["card"])
                case "call":
                    self._follow(await self._node.call(command["whom"], send=_source(), receive=self._sink()))
                case "hang-up":
                    assert self._call is not None
                    await self._call.hang_up()
                case unknown:
                    raise ValueError(unknown)

    async def answer(self) -> None:
        """Accept whatever rings."""
        async for call in self._node.incoming():
            _say("Incoming", call=call.id)
            self._follow(call)
            await call.accept(send=_source(), receive=self._sink())

    def _follow(self, call: Call) -> None:
        self._call = call
        self._node.spawn(self._tell_of(call))

    @staticmethod
    async def _tell_of(call: Call) -> None:
        async for event in call:
            outcome = {"reason": event.outcome.reason.value} if isinstance(event, Ended) else {}
            _say(type(event).__name__, call=call.id, **outcome)

    def _sink(self) -> Sink | None:
        return None if self._record is None else Recorder(self._record)


def _source() -> TestCardSource:
    # Small, so that what is seen is the time line of the call and not how busy the machine is.
    return TestCardSource(320, 180, beep=True)


def _say(event: str, **details: object) -> None:
    print(json.dumps({"event": event, **details}), flush=True)


async def _account(config: NodeConfig, username: str) -> Profile:
    assert config.profile is not None
    if config.profile.exists():
        return Profile.open(config.profile, PASSPHRASE)
    return await register(config, username, passphrase=PASSPHRASE)


async def _main(server: str, username: str, profile: str | None, record: str | None, reconnect: float | None) -> None:
    folder = None if profile is None else Path(profile)
    config = NodeConfig(server=server, username=username, profile=folder, loopback_only=True)
    account = None if folder is None else await _account(config, username)
    timeouts = None if reconnect is None else Timeouts(reconnect=reconnect)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with Node(config, profile=account, timeouts=timeouts) as node:
        talker = _Talker(node, record)
        node.spawn(talker.answer())
        _say("Ready", card=str(node.card), address=str(node.address))
        await talker.obey(lines)


if __name__ == "__main__":
    _given = dict.fromkeys(("profile", "record", "reconnect")) | json.loads(sys.argv[1])
    asyncio.run(_main(**_given))
