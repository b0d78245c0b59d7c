"""A real signaling server for the tests of nodes: one for all of them, or one of its own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from entrenous_signaling.control import ask
from entrenous_signaling.control_messages import AccountRemoved, RemoveAccountNow
from world.serverproc import ServerProcess, running_server

_GENEROUS = "{per_second = 1e5, burst = 1e5}"
_SETTINGS = f"""
[limits]
account_rate = {_GENEROUS}
directory_rate = {_GENEROUS}
relay_rate = {_GENEROUS}
registration_rate = {_GENEROUS}
"""
"""What an account may do is counted by its name, and many tests have an alice."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    """What `server` hands out."""
    async with running_server(tmp_path_factory.mktemp("server"), settings=_SETTINGS) as running:
        yield running


@pytest_asyncio.fixture
async def server(shared_server: ServerProcess) -> AsyncIterator[ServerProcess]:
    """A server with no accounts, which other tests use too: it may be neither stopped nor looked into."""
    yield shared_server
    for username in _accounts(shared_server.data):
        control = shared_server.data / "control.sock"
        await asyncio.to_thread(ask, control, RemoveAccountNow(username), AccountRemoved)


@pytest_asyncio.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    """A server that nobody else uses."""
    async with running_server(tmp_path) as running:
        yield running


def _accounts(data: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{data}/accounts.sqlite3?mode=ro", uri=True)) as database:
        return [username for (username,) in database.execute("SELECT username FROM account")]
