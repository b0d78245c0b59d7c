"""The connection under a link: kept, doubted, made anew, and refused with its reason."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import time
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from entrenous import NodeConfig, ServerUnreachable, link_transport, register
from entrenous.account import credentials_of
from entrenous.errors import ConfigError
from entrenous.link import Link
from entrenous.link_transport import MAX_OUTGOING, LinkTransport
from entrenous_wire import codec, limits
from entrenous_wire.messages import Deliver, FromServer, Hello, Kind, Leave, RegistrationPolicy, Welcome
from lab.certificates import self_signed, write
from world.linked import BODY, User, link_to, odd_server, opened, web_server
from world.nodes import PATIENCE, config
from world.serverproc import ServerProcess, running_server


async def test_a_connection_that_still_works_is_kept_when_the_network_changes(server: ServerProcess) -> None:
    async with opened(server, "alice") as (alice, user, _):
        before = alice._transport._socket
        alice.network_changed()
        alice.network_changed()
        assert alice._transport._probing is not None
        async with asyncio.timeout(PATIENCE):
            await alice._transport._probing
        assert alice._transport._socket is before
        assert user.told.empty()
        assert alice._transport._probing is None


async def test_a_connection_whose_own_address_is_gone_is_made_anew_at_once(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(server, "alice") as (alice, user, profile), opened(server, "bob") as (bob, _, _):
        monkeypatch.setattr(link_transport, "is_ours", lambda name: False)
        alice.network_changed()
        assert alice._transport._probing is None
        lost = await user.next()
        assert isinstance(lost, tuple)
        assert "network of this machine changed" in lost[1]
        assert await user.next() == "up"
        bob.send(str(profile.address), profile.device, b"c" * 16, Kind.SIGNAL, BODY)
        assert isinstance(await user.next(), Deliver)


async def test_a_server_that_does_not_answer_the_probe_is_connected_to_anew(
    own_server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_transport, "PROBE_SECONDS", 0.1)
    async with opened(own_server, "alice") as (alice, user, _):
        assert own_server.process is not None
        own_server.process.send_signal(signal.SIGSTOP)
        try:
            alice.network_changed()
            lost = await user.next()
            assert isinstance(lost, tuple)
            assert "connection to the server broke" in lost[1]
        finally:
            own_server.process.send_signal(signal.SIGCONT)
        assert await user.next() == "up"


async def test_the_name_is_looked_up_again_only_when_the_known_address_does_not_work(
    own_server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleared: list[None] = []
    monkeypatch.setattr(aiohttp.TCPConnector, "clear_dns_cache", lambda *_: cleared.append(None))
    async with opened(own_server, "alice") as (alice, user, _):
        monkeypatch.setattr(link_transport, "is_ours", lambda name: False)
        alice.network_changed()
        assert isinstance(await user.next(), tuple)
        assert await user.next() == "up"
        assert cleared == []
        await own_server.stop()
        for _ in range(3):  # the connection, then an attempt at the address that is known, then one at what it is now
            assert isinstance(await user.next(), tuple)
        assert cleared


async def test_a_connection_whose_first_packet_is_lost_does_not_wait_for_it(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    reach, lost = loop.sock_connect, set()

    async def lose_the_first(sock: socket.socket, address: tuple[str, int]) -> None:
        if address not in lost:
            lost.add(address)
            await asyncio.Event().wait()
        await reach(sock, address)

    async with opened(server, "alice") as (_, _, profile):
        pass
    monkeypatch.setattr(loop, "sock_connect", lose_the_first)
    port = server.listening.rpartition(":")[2]
    named = replace(config(server, None), server=f"ws://localhost:{port}")
    again = Link(named, credentials_of(profile), User())
    await again.open(PATIENCE)
    await again.close()
    assert lost


async def test_a_server_that_sends_binary_frames_is_no_server_of_ours() -> None:
    async def binary(socket: web.WebSocketResponse) -> None:
        await socket.send_bytes(b"\0" * 100)
        assert (await socket.receive()).type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING)

    async with odd_server(binary) as settings:
        with pytest.raises(ServerUnreachable, match="was closed"):
            await link_to(settings).open(0.5)


async def test_a_web_server_that_is_something_else_is_named() -> None:
    async def nothing(socket: web.WebSocketResponse) -> None:
        await socket.close()

    async with odd_server(nothing) as settings:
        other = replace(settings)
        link = link_to(other)
        transport = link._transport
        transport._url = transport._url.replace(limits.SIGNAL_PATH, "/elsewhere")
        with pytest.raises(ServerUnreachable, match="no entrenous server"):
            await link.open(0.5)


async def test_a_restart_is_heard_where_the_goodbye_cannot_be_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(used: aiohttp.ClientWebSocketResponse, **_: object) -> bool:
        # Over TLS the transport is closed before the answer can be written, and aiohttp notes that instead.
        used._closed, used._close_code = True, aiohttp.WSCloseCode.ABNORMAL_CLOSURE
        used._response.close()
        return True

    async def restart(socket: web.WebSocketResponse) -> None:
        hello = Hello(server="127.0.0.1", nonce=bytes(32), versions=[1], registration=RegistrationPolicy.OPEN)
        await socket.send_str(codec.encode(hello))
        await socket.receive()
        await socket.send_str(codec.encode(Welcome(token=bytes(32), address="alice@127.0.0.1")))
        await socket.close(code=aiohttp.WSCloseCode.SERVICE_RESTART)

    monkeypatch.setattr(aiohttp.ClientWebSocketResponse, "close", gone)
    async with odd_server(restart) as settings:
        link = link_to(settings)
        user = link._user
        assert isinstance(user, User)
        restarts: list[bool] = []
        lose = link._session.transport_lost

        def lost(sentence: str, now: float, *, retry_after: float, restarting: bool) -> None:
            restarts.append(restarting)
            lose(sentence, now, retry_after=retry_after, restarting=restarting)

        monkeypatch.setattr(link._session, "transport_lost", lost)
        await link.open(PATIENCE)
        assert await user.next() == "up"
        assert isinstance(await user.next(), tuple)
        await link.close()
    assert restarts[0]


async def test_the_pause_that_a_busy_server_asks_for_is_kept() -> None:
    upgrades = 0

    async def serve(request: web.Request) -> web.StreamResponse:
        nonlocal upgrades
        upgrades += 1
        if upgrades > 1:
            return web.Response(status=503, headers={"Retry-After": "300"})
        socket = web.WebSocketResponse(protocols=(limits.SUBPROTOCOL,))
        await socket.prepare(request)
        hello = Hello(server="127.0.0.1", nonce=bytes(32), versions=[1], registration=RegistrationPolicy.OPEN)
        await socket.send_str(codec.encode(hello))
        await socket.receive()
        await socket.send_str(codec.encode(Welcome(token=bytes(32), address="alice@127.0.0.1")))
        await socket.close(code=aiohttp.WSCloseCode.SERVICE_RESTART)
        return socket

    async with web_server(serve) as settings:
        link = link_to(settings)
        user = link._user
        assert isinstance(user, User)
        await link.open(PATIENCE)
        assert await user.next() == "up"
        assert await user.next() == ("lost", "The connection to 127.0.0.1 was closed.")
        assert await user.next() == ("lost", "127.0.0.1 has too much to do now.")
        due = link._session.next_deadline()
        await link.close()
    assert due is not None
    assert due - time.monotonic() > 200
    assert upgrades == 2


async def test_a_certificate_that_nobody_vouches_for_is_named(tmp_path: Path) -> None:
    certificate, key = write(tmp_path, self_signed("127.0.0.1"))
    async with running_server(tmp_path, tls_cert=certificate, tls_key=key) as server:
        trusting = NodeConfig(server=f"wss://{server.listening}", ca_file=certificate, loopback_only=True)
        with pytest.raises(ServerUnreachable, match="certificate"):
            await link_to(NodeConfig(server=f"wss://{server.listening}"), name=server.name).open(0.5)
        profile = await register(trusting, "alice", passphrase=None)
        assert str(profile.address) == f"alice@{server.name}"


def test_authorities_of_a_file_take_the_place_of_the_systems(tmp_path: Path) -> None:
    certificate, _ = write(tmp_path, self_signed("127.0.0.1"))
    context = link_to(NodeConfig(server="calls.example.org", ca_file=certificate))._transport._tls
    assert isinstance(context, ssl.SSLContext)
    assert len(context.get_ca_certs()) == 1
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_authorities_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_bytes(os.urandom(100))
    for path in (bad, tmp_path / "none.pem"):
        with pytest.raises(ConfigError, match="cannot be used"):
            link_to(NodeConfig(server="calls.example.org", ca_file=path))


class Listener:
    """Remembers what a transport tells."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[object] = asyncio.Queue()

    def transport_opened(self) -> None:
        self.told.put_nowait("opened")

    def message_received(self, message: FromServer) -> None:
        self.told.put_nowait(message)

    def transport_lost(self, sentence: str, retry_after: float, *, restarting: bool) -> None:
        self.told.put_nowait((sentence, retry_after, restarting))

    def transport_doubtful(self, sentence: str) -> None:
        self.told.put_nowait(sentence)


async def test_a_connection_that_takes_nothing_is_let_go_of_and_the_next_one_begins_empty() -> None:
    heard: list[str] = []

    async def listen(socket: web.WebSocketResponse) -> None:
        heard.append("connected")
        async for message in socket:
            heard.append(message.data)

    async with odd_server(listen) as settings, asyncio.timeout(PATIENCE):
        listener = Listener()
        transport = LinkTransport(settings, "127.0.0.1", listener)
        transport.connect()
        # It is not there yet, and nobody has written any of it.
        assert all(transport.send(Leave()) for _ in range(MAX_OUTGOING))
        assert not transport.send(Leave())
        transport.connect()
        assert await listener.told.get() == "opened"
        assert transport.send(Leave())
        transport.disconnect()
        await transport.close()
    assert heard == ["connected", codec.encode(Leave())]
    assert listener.told.empty(), "who lets go of a connection knows"


async def test_without_a_connection_a_network_that_changes_may_have_brought_one() -> None:
    listener = Listener()
    transport = LinkTransport(NodeConfig(server="ws://127.0.0.1:1", loopback_only=True), "127.0.0.1", listener)
    transport.doubt()
    assert listener.told.empty()
    transport.network_changed()
    assert listener.told.get_nowait() == "The network of this machine changed."
    await transport.close()
