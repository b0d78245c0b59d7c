"""Processes that a command starts and ends: each writes JSON lines, none outlives the command."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from tempfile import TemporaryFile
from typing import IO, Any, cast

from entrenous import EntrenousError

END_SECONDS = 8.0
"""How long a process may take to end by itself after SIGTERM."""
MAX_LINE_BYTES = 1 << 20


class ChildError(EntrenousError):
    """A process that this command needs ended, or said nothing in time."""


class Child:
    """A Python process that writes JSON objects, one a line. Made by `child`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, errors: IO[bytes]) -> None:
        self.name = name
        self._process = process
        self._output = cast(asyncio.StreamReader, process.stdout)  # `child` asks for a pipe
        self._errors = errors

    async def objects(self) -> AsyncIterator[dict[str, Any]]:
        """What it writes, until it ends; lines that are no JSON object are left out."""
        while line := await self._output.readline():
            with suppress(ValueError):
                value = json.loads(line)
                if isinstance(value, dict):
                    yield value

    async def expect(self, event: str | None, *, within: float) -> dict[str, Any]:
        """The next object whose `event` is this one; those before it are dropped.

        Args:
            event: the value of its `event` field; None takes any object.
            within: seconds.

        Raises:
            ChildError: it ended or the time passed before.
        """
        try:
            async with asyncio.timeout(within):
                async for value in self.objects():
                    if event is None or value.get("event") == event:
                        return value
        except TimeoutError:
            raise ChildError(
                f"{self.name} did not say {event or 'anything'} within {within:.0f} s.{self._said()}"
            ) from None
        raise self.failed()

    def failed(self) -> ChildError:
        """What to raise when it ended and should not have."""
        return ChildError(f"{self.name} ended too early.{self._said()}")

    def _said(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f" It said: {lines[-1].strip()}" if lines else ""


@asynccontextmanager
async def child(
    name: str, arguments: Sequence[str], *, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Child]:
    """Run `python ARGUMENTS` beside the body; afterwards it is asked to end, and made to.

    It runs in a session of its own, so that Ctrl-C at the terminal reaches this process alone, which then ends it.

    Args:
        name: for messages.
        arguments: of the Python interpreter that runs this process.
        environment: variables to add.
    """
    with TemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # a folder named like one of our packages in the current directory is none of them
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env={**os.environ, **(environment or {})},
            limit=MAX_LINE_BYTES,
            start_new_session=True,
        )
        try:
            yield Child(name, process, errors)
        finally:
            await asyncio.shield(_end(process))


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        # Reading on keeps a process that still writes from waiting for us.
        async with asyncio.timeout(END_SECONDS):
            await process.communicate()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
