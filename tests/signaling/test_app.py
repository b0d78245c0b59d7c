"""A real server process, spoken to over real sockets: bad input, cuts, how it starts and ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from entrenous_signaling import logs
from entrenous_signaling.acceptor import Acceptor
from entrenous_signaling.app import Server
from entrenous_signaling.auth import hash_invite
from entrenous_signaling.cli import main
from entrenous_signaling.clock_watch import AGREED_SECONDS, ClockWatch
from entrenous_signaling.config import ServerConfig
from entrenous_signaling.control_server import ControlServer
from entrenous_signaling.edge import Edge
from entrenous_signaling.hub import Hub
from entrenous_signaling.notify import Notifier
from entrenous_signaling.outputs import Outbox
from entrenous_signaling.store.database import Databases, add_invites
from entrenous_signaling.store.writer import is_held
from entrenous_wire.codec import decode_from_server, encode
from entrenous_wire.limits import MAX_FRAME_BYTES, SUBPROTOCOL
from entrenous_wire.messages import Ack, Deliver, Error, ErrorCode, FetchDevices, TurnRequest, Welcome
from lab.calls import until
from lab.certificates import self_signed, write
from world.serverproc import get, running_server
from world.wirenode import Account, Wire, connected

FAST = """
[limits]
connection_rate = {per_second = 100000.0, burst = 100000.0}
account_rate = {per_second = 100000.0, burst = 100000.0}
directory_rate = {per_second = 100000.0, burst = 100000.0}
"""


async def error(wire: Wire) -> ErrorCode:
    return (await wire.hear(Error)).code


# --- bad input ---


async def test_bad_input_gets_its_error_and_hurts_nobody(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server, connected(server.url) as good:
        alice, bob = Account("alice", server.name), Account("bob", server.name)
        await good.register(alice)
        for frame, code in (
            ("not json", ErrorCode.MALFORMED),
            ("[1, 2]", ErrorCode.MALFORMED),
            ('{"type": "dance"}', ErrorCode.UNKNOWN_TYPE),
            ('{"type": "ack", "seq": "one"}', ErrorCode.MALFORMED),
            ('{"type": "ack", "seq": 1}', ErrorCode.OUT_OF_ORDER),
            (encode(alice.send(1, bob)), ErrorCode.OUT_OF_ORDER),
        ):
            async with connected(server.url) as wire:
                await wire.socket.send_str(frame)
                assert await error(wire) is code
                await wire.register(bob) if code is ErrorCode.MALFORMED else None
        async with connected(server.url) as wire:
            await wire.socket.send_bytes(b"{}")
            assert await error(wire) is ErrorCode.MALFORMED
        async with connected(server.url) as wire:
            await wire.socket.send_str(" " * (MAX_FRAME_BYTES + 1))
            assert await error(wire) is ErrorCode.TOO_LARGE
            assert await wire.closed() == 1009
        async with connected(server.url) as wire:
            await wire.socket.send_str(" " * (8 * MAX_FRAME_BYTES))
            assert await wire.closed() == 1009
        async with connected(server.url) as wire:
            await wire.say(Account("nobody", server.name).login(wire.hello))
            assert await error(wire) is ErrorCode.UNKNOWN_USER
        async with connected(server.url) as wire, connected(server.url) as other:
            recorded = alice.login(wire.hello)
            await other.say(recorded)
            assert await error(other) is ErrorCode.BAD_SIGNATURE
            await other.say(alice.login(other.hello))
            assert await error(other) is ErrorCode.NONCE_USED
        async with connected(server.url) as wire:
            await wire.say(Account("alice", server.name, identity="another").register(wire.hello))
            assert await error(wire) is ErrorCode.NAME_TAKEN
        await good.say(alice.login(good.hello))
        assert await error(good) is ErrorCode.OUT_OF_ORDER
        await good.say(TurnRequest(request=1))
        assert await error(good) is ErrorCode.NO_RELAY


async def test_a_connection_that_does_not_log_in_is_closed(tmp_path: Path) -> None:
    settings = "login_seconds = 0.2\n"
    async with running_server(tmp_path, settings=settings) as server, connected(server.url) as wire:
        assert await error(wire) is ErrorCode.OUT_OF_ORDER
        assert await wire.closed() == 1008
        host, port = server.listening.rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /v1/signal HTTP/1.1\r\n")  # and never the rest
        async with asyncio.timeout(60):
            await reader.read()
        writer.close()


@pytest.mark.parametrize("past", [-1.0, 1.0])
async def test_it_says_how_far_its_clock_is_off(past: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ClockWatch(Outbox(), 0.0, shared=True)
    clock.ahead, clock.has_looked = -(AGREED_SECONDS + past + 0.04), True
    monkeypatch.setattr(Hub, "clock", property(lambda _: clock))
    config = ServerConfig(listen="127.0.0.1:0", data=str(tmp_path / "data"), insecure_loopback=True)
    server = Server(config, Notifier({}))
    try:
        await server.start()
        status = await server.status()
    finally:
        await server.close()
    assert (status.clock_ahead, status.clock_differs) == (-(AGREED_SECONDS + past), past > 0)


@pytest.mark.parametrize("error", [OSError, asyncio.CancelledError])
async def test_it_lets_go_of_its_store_whatever_else_fails(
    error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    data = tmp_path / "data"
    config = ServerConfig(listen="127.0.0.1:0", admin_listen="127.0.0.1:0", data=str(data), insecure_loopback=True)
    server = Server(config, Notifier({}))
    await server.start()
    closed: list[str] = []

    def fail_behind(kind: type[Any], name: str) -> None:
        close = getattr(kind, name)

        async def fail(part: Any) -> None:
            await close(part)
            closed.append(kind.__name__)
            raise error

        monkeypatch.setattr(kind, name, fail)

    for kind, name in ((Acceptor, "close"), (ControlServer, "close"), (Edge, "close"), (web.AppRunner, "cleanup")):
        fail_behind(kind, name)
    if error is asyncio.CancelledError:  # somebody is in a hurry
        with pytest.raises(asyncio.CancelledError):
            await server.close()
        assert closed == ["Acceptor"]
        monkeypatch.undo()
        await server._close_connections()
    else:
        await server.close()
        assert closed == ["Acceptor", "ControlServer", "Edge", "AppRunner", "AppRunner"]
        assert len([line for line in caplog.messages if line.startswith("internal-error source=app ")]) == len(closed)
    assert not is_held(data)


async def test_http_beside_it_says_what_it_may(tmp_path: Path) -> None:
    async with running_server(tmp_path, registration="closed", admin_listen="127.0.0.1:0") as server:
        base = f"http://{server.listening}"
        assert await get(f"{base}/healthz") == (200, '{"status": "ok"}')
        assert await get(f"{base}/readyz") == (200, '{"status": "ready"}')
        assert json.loads((await get(f"{base}/v1/info"))[1]) == {"versions": [1], "registration": "closed"}
        assert (await get(f"{base}/metrics"))[0] == 404
        assert (await get(f"{base}/v1/signal"))[0] == 400
        status, page = await get(f"http://{server.admin}/metrics")
        assert status == 200
        assert "entrenous_connections 0.0" in page


# --- routing ---


async def test_after_a_cut_nothing_is_lost_and_order_is_kept(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server, connected(server.url) as alice_wire:
        alice, bob = Account("alice", server.name), Account("bob", server.name)
        await alice_wire.register(alice)
        got: list[int] = []
        last_seq, welcome = 0, None
        for round_number in range(6):
            async with connected(server.url) as wire:
                if welcome is None:
                    welcome = await wire.register(bob)
                else:
                    assert (await wire.resume(welcome, last_seq)).resumed
                while len(got) < 10 * round_number:
                    message = await wire.hear(Deliver)
                    last_seq = message.seq
                    got.append(int.from_bytes(message.id, "big"))
                    if message.seq % 3 == 0:
                        await wire.say(Ack(seq=message.seq))
                for number in range(10 * round_number, 10 * round_number + 10):
                    await alice_wire.say(alice.send(number, bob, size=4096))
                wire.cut()
        assert got == list(range(50))


def small_window(info: tuple[object, ...]) -> socket.socket:
    """Make a socket for which the kernel keeps little: else it takes tens of megabytes before a server notices."""
    made = socket.socket(info[0], info[1], info[2])  # type: ignore[arg-type]
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return made


async def test_a_node_that_does_not_read_is_cut_others_go_on_and_its_session_resumes(tmp_path: Path) -> None:
    async with running_server(tmp_path, settings=FAST) as server, connected(server.url) as alice_wire:
        alice, slow = Account("alice", server.name), Account("slow", server.name)
        for number in range(8):
            async with connected(server.url) as wire:
                await wire.register(Account("alice", server.name, f"{number:016x}"))
        await alice_wire.login(Account("alice", server.name, f"{0:016x}"))
        async with connected(server.url) as wire:
            await wire.register(slow)
        connector = aiohttp.TCPConnector(socket_factory=small_window)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.ws_connect(server.url, protocols=(SUBPROTOCOL,)) as stuck,
        ):
            wire = Wire(stuck, decode_from_server((await stuck.receive()).data))  # type: ignore[arg-type]
            welcome = await wire.login(slow)
            connection = stuck._response.connection
            assert connection is not None
            assert connection.transport is not None
            connection.transport.pause_reading()
            with pytest.raises(ConnectionError):
                for request in range(5000):
                    await wire.say(FetchDevices(request=request, address=alice.address))
                    if request % 50 == 0:
                        await alice_wire.say(FetchDevices(request=request, address=slow.address))
                        await alice_wire.socket.receive()
        async with connected(server.url) as back:
            assert (await back.resume(welcome, 0)).resumed
        await until(lambda: "slow-reader" in server.log.read_text())


# --- starting ---


@pytest.fixture
def pem(tmp_path: Path) -> tuple[Path, Path]:
    return write(tmp_path, self_signed("localhost"))


async def test_tls_with_a_certificate_from_files(tmp_path: Path, pem: tuple[Path, Path]) -> None:
    cert, key = pem
    context = ssl.create_default_context(cafile=cert)
    async with running_server(tmp_path, tls_cert=cert, tls_key=key, name="localhost") as server:
        assert server.url == "wss://localhost/v1/signal"
        url = f"wss://localhost:{server.listening.rsplit(':', 1)[1]}/v1/signal"
        async with connected(url, context) as wire:
            await wire.register(Account("alice", "localhost"))
        old = ssl.create_default_context(cafile=cert)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(aiohttp.ClientConnectorError):
            async with connected(url, old):
                pass


def test_what_stops_a_server_from_starting_is_one_sentence(
    tmp_path: Path,
    pem: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(logs, "configure", lambda form: None)
    monkeypatch.setattr(os, "umask", lambda mask: mask)
    cert, key = pem
    data = f"--data={tmp_path / 'data'}"
    newer = tmp_path / "newer"
    newer.mkdir()
    with sqlite3.connect(newer / "usage.sqlite3") as database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.execute("INSERT INTO alembic_version VALUES ('usage_9999')")
    loopback = "--insecure-loopback"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for code, options, words in (
            (2, (data,), "needs TLS"),
            (2, (data, loopback, "--listen=0.0.0.0:0"), "loopback address only"),
            (1, (data, loopback, f"--listen=127.0.0.1:{taken.getsockname()[1]}"), "Cannot listen"),
            (1, (data, "--listen=127.0.0.1:0", f"--tls-cert={key}", f"--tls-key={cert}"), "cannot be used"),
            (1, (data, "--listen=127.0.0.1:0", "--tls-cert=none.pem", "--tls-key=none.pem"), "No such file"),
            (1, (f"--data={cert}", loopback, "--listen=127.0.0.1:0"), "cannot be written"),
            (1, (f"--data={newer}", loopback, "--listen=127.0.0.1:0"), "newer version"),
            (2, (data, loopback, "--config=none.toml"), "cannot be read"),
        ):
            with pytest.raises(SystemExit) as ended:
                main(["serve", *options])
            said = capsys.readouterr()
            assert (ended.value.code, said.out) == (code, ""), said.err
            assert said.err.startswith("Error: ")
            assert words in said.err
            assert said.err.count("\n") == 1


async def test_a_running_server_has_loaded_nothing_of_the_node(tmp_path: Path) -> None:
    program = (
        "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr));"
        "from entrenous_signaling.cli import main; main(sys.argv[1:])"
    )
    options = ("serve", "--insecure-loopback", "--listen=127.0.0.1:0", f"--data={tmp_path / 'data'}", "--json")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    url = json.loads(await process.stdout.readline())["url"]
    async with connected(url) as wire:
        await wire.register(Account("alice", wire.hello.server))
    os.kill(process.pid, signal.SIGINT)
    _, said = await process.communicate()
    assert process.returncode == 0
    loaded = {name.partition(".")[0] for name in said.decode().split()}
    assert "entrenous_signaling" in loaded
    assert not loaded & {"entrenous", "av", "aiortc", "aioice", "sounddevice"}


async def test_an_invite_minted_beside_the_running_server_lets_one_in(tmp_path: Path) -> None:
    async with running_server(tmp_path, registration="invite") as server:
        code = "abcdefghjkmnpqrstuvw"
        add_invites(Databases(server.data), [hash_invite(code)])
        for username, invite, expected in (("alice", code, Welcome), ("bob", code, Error), ("bob", None, Error)):
            async with connected(server.url) as wire:
                await wire.say(Account(username, server.name).register(wire.hello, invite))
                await wire.hear(expected)
