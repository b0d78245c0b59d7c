"""The steps towards a signaling server, each failing in its way."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path

import pytest

from entrenous.doctor import look_server, tls
from entrenous.doctor.facts import NameProblem, ReachProblem, ServerFacts
from entrenous.doctor.look_server import clock_ahead, leads_elsewhere, look_at_server, reach_problem
from entrenous.doctor.names import NameUnresolved
from entrenous_signaling.app import Listening, Server
from entrenous_signaling.config import ServerConfig
from entrenous_signaling.notify import Notifier
from entrenous_wire.messages import RegistrationPolicy


@asynccontextmanager
async def answering(answer: bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """A server on loopback that answers every request with these bytes; its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def look(url: str) -> ServerFacts:
    return await look_at_server(url, tls.trusting(None))


@asynccontextmanager
async def serving(folder: Path, **settings: object) -> AsyncIterator[Listening]:
    """A real signaling server in this process."""
    config = {"listen": "127.0.0.1:0", "data": str(folder / "data"), "insecure_loopback": True, **settings}
    server = Server(ServerConfig(**config), Notifier({}))  # type: ignore[arg-type]  # names and values come from the test
    try:
        yield await server.start()
    finally:
        await server.close()


async def test_a_real_server_greets(tmp_path: Path) -> None:
    async with serving(tmp_path, registration=RegistrationPolicy.INVITE) as server:
        facts = await look(server.url)
    assert facts.status == 101
    assert facts.server_name == server.name
    assert facts.speaks_our_version
    assert facts.registration is RegistrationPolicy.INVITE
    assert facts.clock_ahead == pytest.approx(0, abs=2)
    assert not facts.portal


async def test_a_full_server_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path, max_connections=1) as server:
        host, port = server.listening.rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(_UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        facts = await look(server.url)
        assert (facts.status, facts.says_full) == (503, True)
        writer.close()


async def test_the_last_place_is_free_again_after_a_look(tmp_path: Path) -> None:
    async with serving(tmp_path, max_connections=1) as server:
        for _ in range(3):
            assert (await look(server.url)).status == 101


_UPGRADE = (
    b"GET /v1/signal HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: entrenous.v1\r\n\r\n"
)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", 404),
        (b"HTTP/1.1 503 Later\r\n\r\nno server behind", 503),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", None),
        (b"HTTP/1.1 what\r\n\r\n", None),
        (b"", None),
        (b"HTTP/1.1 200 " + b"x" * 100_000, None),
    ],
)
async def test_what_is_no_entrenous_server(answer: bytes, status: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_server, "PORTAL_SECONDS", 0.2)
    async with answering(answer) as url:
        facts = await look(url)
    assert (facts.status, facts.server_name, facts.says_full) == (status, None, False)


@pytest.mark.parametrize("frame", [b"\x81\x02{}", b"\x82\x01x", b"\x81\x7fxxxxxxxx", b"\x81\x7e\x00\x03\xff\xff\xff"])
async def test_a_greeting_that_is_none(frame: bytes) -> None:
    async with answering(b"HTTP/1.1 101 Switching\r\n\r\n" + frame) as url:
        facts = await look(url)
    assert (facts.status, facts.server_name) == (101, None)


async def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_server, "HTTP_SECONDS", 0.1)
    monkeypatch.setattr(look_server, "PORTAL_SECONDS", 0.1)
    over = asyncio.Event()

    async def wait(writer: asyncio.StreamWriter) -> None:
        await over.wait()

    async with answering(wait) as url:
        assert (await look(url)).status is None
        over.set()


async def test_nothing_listens() -> None:
    async with answering(b"") as url:
        pass
    (attempt,) = (await look(url)).attempts
    assert attempt.problem is ReachProblem.REFUSED


async def test_a_name_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(host: str) -> list[str]:
        raise NameUnresolved(NameProblem.SILENT)

    monkeypatch.setattr(look_server, "resolve", resolve)
    assert await look("wss://calls.example.org") == ServerFacts("calls.example.org", name_problem=NameProblem.SILENT)


async def test_a_portal_is_found_on_the_web_port(monkeypatch: pytest.MonkeyPatch) -> None:
    async with answering(b"HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n") as portal:
        monkeypatch.setattr(look_server, "_WEB_PORT", int(portal.rsplit(":", 1)[1]))
        async with answering(b"") as url:
            pass
        assert (await look(url)).portal


@pytest.mark.parametrize(
    ("status", "location", "expected"),
    [
        (302, "http://login.example/", True),
        (307, "https://calls.example.org/", False),
        (302, "/login", False),
        (302, None, False),
        (200, "http://login.example/", False),
        (511, None, True),
    ],
)
def test_what_leads_elsewhere(status: int, location: str | None, expected: bool) -> None:
    assert leads_elsewhere(status, location, "calls.example.org") is expected


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (errno.ECONNREFUSED, ReachProblem.REFUSED),
        (errno.ENETUNREACH, ReachProblem.NO_ROUTE),
        (errno.EHOSTUNREACH, ReachProblem.NO_ROUTE),
        (errno.ETIMEDOUT, ReachProblem.TIMEOUT),
        (None, ReachProblem.TIMEOUT),
    ],
)
def test_what_errors_of_sockets_mean(number: int | None, problem: ReachProblem) -> None:
    assert reach_problem(OSError(number, "no")) is problem


def test_dates() -> None:
    now = time.time()
    assert clock_ahead(formatdate(now - 3600, usegmt=True), now) == pytest.approx(3600, abs=1)
    assert clock_ahead(formatdate(now + 60, usegmt=True), now) == pytest.approx(-60, abs=1)
    assert clock_ahead(None, now) is None
    assert clock_ahead("yesterday", now) is None
