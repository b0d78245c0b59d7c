"""What of a server its operator could keep, or a thief could take: files, log, pages, answers, exports, memory."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import sqlalchemy

from entrenous_signaling.call_export import Format, write_file
from entrenous_signaling.control import ControlError, exchange
from entrenous_signaling.store.backend import Part
from entrenous_signaling.store.database import Databases, read_records

from .serverproc import ServerProcess

_STOP_SECONDS = 60.0
PAGES = ("/metrics", "/healthz", "/readyz")
COMMANDS = ({"command": "status"}, {"command": "remove-account", "username": "nobody"}, {"command": "reload"})


def files_of(folder: Path, name: str = "") -> dict[str, bytes]:
    """Every file below a folder, by its path there."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            found[f"{name}{path.relative_to(folder)}"] = path.read_bytes()
    return found


def files_of_server(server: ServerProcess) -> dict[str, bytes]:
    """Its data directory, and its log over all starts; it may be running or dead."""
    return {**files_of(server.data), "log": server.log.read_bytes()}


async def answers_of(server: ServerProcess, databases: Databases) -> dict[str, bytes]:
    """What a running server tells its operator: every page of the admin listener, every answer, every export."""
    assert server.admin is not None
    found = await pages_of(server.admin)
    found |= await asyncio.to_thread(control_answers, server.data / "control.sock")
    return found | await asyncio.to_thread(exports_of, databases)


async def pages_of(admin: str) -> dict[str, bytes]:
    """The pages of an admin listener at HOST:PORT."""
    found = {}
    async with aiohttp.ClientSession() as session:
        for path in PAGES:
            async with session.get(f"http://{admin}{path}") as answer:
                found[f"page {path}"] = repr(answer.raw_headers).encode() + await answer.read()
    return found


def control_answers(path: Path, commands: Sequence[dict[str, str]] = COMMANDS) -> dict[str, bytes]:
    """What a control socket answers to commands, by default to each that leaves the server as it is."""
    found = {}
    for command in commands:
        try:
            answer = exchange(path, json.dumps(command).encode())
        except ControlError as problem:
            answer = str(problem).encode()
        found[f"answer to {command['command']}"] = answer
    return found


def exports_of(databases: Databases) -> dict[str, bytes]:
    """The call records in every format of a file."""
    found = {}
    with TemporaryDirectory() as folder:
        for form in Format:
            path = Path(folder) / form.value
            write_file(read_records(databases), form, path)
            found[f"export as {form.value}"] = path.read_bytes()
    return found


def rows_of(databases: Databases) -> dict[str, list[bytes]]:
    """Every row of every table, its values one behind the other."""
    found: dict[str, list[bytes]] = {}
    for part in Part:
        engine = databases.backend().engine(part, writes=False)
        with engine.connect() as connection:
            for table in sqlalchemy.inspect(connection).get_table_names():
                rows = connection.exec_driver_sql(f"SELECT * FROM {table}")  # the name is the database's own
                found[f"{part.value}.{table}"] = [b"\0".join(map(_as_bytes, row)) for row in rows]
        engine.dispose()
    return found


def _as_bytes(value: object) -> bytes:
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()


def memory_of(pid: int) -> dict[str, bytes]:
    """What a core dump would hold: all memory that the process may write, while it stands still; by its address."""
    found = {}
    with _standing_still(pid), Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            if not rights.startswith("rw"):
                continue
            first, last = (int(address, 16) for address in span.split("-"))
            memory.seek(first)
            # A mapping may be longer than what there is behind it, as that of a file which was cut.
            found[f"memory {line}"] = memory.read(last - first)
    return found


@contextmanager
def _standing_still(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        until = time.monotonic() + _STOP_SECONDS
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            assert time.monotonic() < until, "the process does not stop"
            time.sleep(0.005)  # the kernel tells nobody but its parent, which asyncio is
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
