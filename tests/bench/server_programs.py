"""Server processes of the benchmarks: started on their core, watched from outside, ended."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from .server_load import CORE_OF_SERVER

START_SECONDS: Final = 60.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Program:
    """A process on CORE_OF_SERVER.

    Args:
        log: where what it writes to standard error goes.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    async def start(self, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> str:
        """Start it; returns the first line that it writes to standard output.

        Raises:
            RuntimeError: it ended before it wrote one.
        """
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *("taskset", "--cpu-list", str(CORE_OF_SERVER), *command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, **(environment or {})},
            )
        assert self._process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{command[0]} did not start: {self._log.read_text()[-2000:]}")
        return line.decode()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait until it is gone; harmless when it is."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.send_signal(number)
        async with asyncio.timeout(START_SECONDS):
            await process.wait()

    def cpu_seconds(self) -> float:
        """What all its threads have used (proc(5), stat)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory(self) -> int:
        """Bytes that it holds, shared ones in their share (proc(5), smaps_rollup: Pss)."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        kilobytes = next(line.split()[1] for line in lines if line.startswith("Pss:"))
        return int(kilobytes) * 1024


async def wait_for_port(port: int) -> None:
    """Wait until somebody listens there."""
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
