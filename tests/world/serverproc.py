"""A real signaling server in a process of its own, on loopback, for tests that need one."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

START_SECONDS = 60.0


@dataclass
class ServerProcess:
    """A server that was started; the fields are set by `start`.

    Args:
        folder: where its data directory and its log are.
        options: of `serve`; True stands for a flag, a tuple for an option that is repeated.
        prefix: goes before its command line, to run it elsewhere.
        listening: where; by default on a free port of loopback.
        arguments: of `serve`, in place of all that the other fields would make of it.
    """

    folder: Path
    options: dict[str, object] = field(default_factory=dict)
    prefix: Sequence[str] = ()
    process: asyncio.subprocess.Process | None = None
    listening: str = "127.0.0.1:0"
    arguments: Sequence[str] = ()
    url: str = ""
    name: str = ""
    admin: str | None = None

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "server-data"

    @property
    def log(self) -> Path:
        """What it wrote to standard error, over all starts."""
        return self.folder / "server.log"

    async def start(self) -> None:
        """Start it, on the same port as before if there was one, and wait until it listens."""
        arguments = [*(self.arguments or self._usual_arguments()), "--json"]
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(*self.prefix, sys.executable, "-m", "entrenous_signaling", "serve", *arguments),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server did not start: {self.log.read_text()}")
        said = json.loads(line)
        self.listening, self.url, self.name, self.admin = (said[key] for key in ("listening", "url", "name", "admin"))

    def _usual_arguments(self) -> list[str]:
        arguments = [f"--listen={self.listening}", f"--data={self.data}"]
        if "tls_cert" not in self.options:
            arguments.append("--insecure-loopback")
        for name, value in self.options.items():
            flag = f"--{name.replace('_', '-')}"
            if value is True:
                arguments.append(flag)
            else:
                arguments += [f"{flag}={item}" for item in (value if isinstance(value, tuple) else (value,))]
        return arguments

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """SIGTERM, and wait until it is gone; returns the exit code."""
        return await self._end(signal.SIGTERM)

    async def restart(self) -> None:
        """Start it again on the same port and data directory, after stopping it if it still runs."""
        if self.process is not None:
            await self.stop()
        await self.start()

    async def _end(self, number: signal.Signals) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        if process.returncode is None:
            process.send_signal(number)
        async with asyncio.timeout(START_SECONDS):
            return await process.wait()


@asynccontextmanager
async def running_server(folder: Path, *, settings: str = "", **options: object) -> AsyncIterator[ServerProcess]:
    """Start a server in `folder` and end it afterwards.

    Args:
        folder: an empty directory, such as pytest's `tmp_path`.
        settings: the text of its configuration file; it has none unless given.
        options: those of `entrenous-signaling serve`, with underscores.
    """
    if settings:
        options["config"] = folder / "server.toml"
        (folder / "server.toml").write_text(settings)
    server = ServerProcess(folder, options)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


async def get(url: str) -> tuple[int, str]:
    """What a server answers to a GET: the status, and the text."""
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()
