"""A real server process as its operator has it: the control socket, the certificate, the service manager, the log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
import stat
import time
from pathlib import Path

import msgspec
import pytest

from entrenous_signaling.control import Answer, ControlError, NoServerError, ask
from entrenous_signaling.control_messages import (
    AccountRemoved,
    BeginDrain,
    CertificateReloaded,
    ControlRequest,
    DrainBegun,
    GetStatus,
    ReloadCertificate,
    RemoveAccountNow,
    Status,
)
from entrenous_signaling.logs import LOGGED
from lab.calls import until
from lab.certificates import Authority, serial_of, serial_shown, write
from world.serverproc import ServerProcess, running_server
from world.wirenode import Account, connected

PATIENCE = 60.0


async def asked(server: ServerProcess, request: ControlRequest, kind: type[Answer]) -> Answer:
    return await asyncio.to_thread(ask, server.data / "control.sock", request, kind)


async def test_commands_reach_the_running_server(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        path = server.data / "control.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        async with connected(server.url) as wire:
            await wire.register(Account("alice", server.name))
            status = msgspec.to_builtins(await asked(server, GetStatus(), Status))
            assert status.pop("uptime") >= 0
            assert status == {
                "sessions": 1,
                "connections": 1,
                "open_calls": 0,
                "accounts": 1,
                "devices": 1,
                "stored_messages": 0,
                "degraded": False,
                "draining": False,
                "nodes": None,
                "cut_off": False,
                "clock_ahead": None,
                "clock_differs": False,
                "clock_set_by": 0,
                "certificate_expires": None,
            }
            with pytest.raises(ControlError, match="no TLS by itself"):
                await asked(server, ReloadCertificate(), CertificateReloaded)
            with pytest.raises(ControlError, match="no such account"):
                await asked(server, RemoveAccountNow("bob"), AccountRemoved)
            assert (await asked(server, BeginDrain(), DrainBegun)).connections == 1
            assert await wire.closed() == 1012
        assert server.process is not None
        async with asyncio.timeout(PATIENCE):
            assert await server.process.wait() == 0
        assert not path.exists()
        with pytest.raises(NoServerError):
            await asked(server, GetStatus(), Status)


def served(server: ServerProcess, context: ssl.SSLContext) -> int:
    """The serial number of the certificate that a new connection gets."""
    host, port = server.listening.rsplit(":", 1)
    with (
        socket.create_connection((host, int(port)), timeout=PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wire,
    ):
        return serial_shown(wire)


async def test_a_renewed_certificate_is_used_on_a_signal_and_on_a_command(tmp_path: Path) -> None:
    authority = Authority()
    first, second, third = (authority.issue("localhost") for _ in range(3))
    context = ssl.create_default_context(cadata=authority.pem.decode())
    cert, key = write(tmp_path, first)
    async with running_server(tmp_path, tls_cert=cert, tls_key=key, name="localhost") as server:
        url = f"wss://localhost:{server.listening.rsplit(':', 1)[1]}/v1/signal"
        async with connected(url, context) as wire:
            assert await asyncio.to_thread(served, server, context) == serial_of(first)
            write(tmp_path, second)
            assert server.process is not None
            server.process.send_signal(signal.SIGHUP)
            await until(lambda: "certificate-reloaded" in server.log.read_text())
            assert await asyncio.to_thread(served, server, context) == serial_of(second)
            cert.write_bytes(third[0])
            with pytest.raises(ControlError, match="goes on with the one it has"):
                await asked(server, ReloadCertificate(), CertificateReloaded)
            await until(lambda: "certificate-unusable" in server.log.read_text())
            assert await asyncio.to_thread(served, server, context) == serial_of(second)
            key.write_bytes(third[1])
            expires = (await asked(server, ReloadCertificate(), CertificateReloaded)).certificate_expires
            assert expires == (await asked(server, GetStatus(), Status)).certificate_expires > time.time()
            assert await asyncio.to_thread(served, server, context) == serial_of(third)
            await wire.register(Account("alice", "localhost"))  # nobody who was there has noticed


async def test_the_service_manager_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "1500000")
        async with running_server(tmp_path) as server:
            assert {await asyncio.to_thread(manager.recv, 100) for _ in range(3)} == {b"READY=1", b"WATCHDOG=1"}
            assert await server.stop() == 0
        said = []
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                said.append(manager.recv(100))
        assert b"STOPPING=1" in said


async def test_as_json_each_line_of_the_log_is_an_event_of_the_list(tmp_path: Path) -> None:
    settings = 'log = "json"\nmax_connections = 1\n'
    async with running_server(tmp_path, settings=settings) as server:
        async with connected(server.url):
            with pytest.raises(Exception, match="503"):
                async with connected(server.url):
                    pass
        await server.stop()
        known = {event.value[0]: {field.value for field in fields} for event, fields in LOGGED.items()}
        lines = [json.loads(line) for line in server.log.read_text().splitlines()]
        assert [line["event"] for line in lines] == ["started", "full", "draining", "stopped"]
        for line in lines:
            assert line.keys() - {"time", "level", "event"} <= known[line["event"]]
        assert lines[-1]["calls"] == 0


async def test_a_log_that_nobody_reads_stops_nobody(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    os.mkfifo(server.log)
    reader = os.open(server.log, os.O_RDWR | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(reader, b"full")
    try:
        await server.start()
        async with asyncio.timeout(PATIENCE), connected(server.url) as wire:
            await wire.register(Account("alice", server.name))
        assert await server.stop() == 0
    finally:
        await server.kill()
        os.close(reader)
