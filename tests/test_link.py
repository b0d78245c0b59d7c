"""Link: the socket under a session, against a real server and against servers that misbehave."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from entrenous import NodeConfig, Profile, RequestRefused, ServerUnreachable, Timeouts, link, register
from entrenous.account import credentials_of
from entrenous.errors import ConfigError
from entrenous.link import Link
from entrenous_wire import codec, limits
from entrenous_wire.addresses import Address
from entrenous_wire.messages import (
    Deliver,
    Error,
    ErrorCode,
    Hello,
    Kind,
    Letter,
    LoggedIn,
    Published,
    RegistrationPolicy,
    Send,
    Welcome,
)
from lab.calls import until
from lab.certificates import self_signed, write
from world.nodes import PATIENCE, config
from world.serverproc import ServerProcess, running_server

BODY = bytes(1024)
Handler = Callable[[web.WebSocketResponse], Awaitable[None]]


class User:
    """Remembers what a link tells."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[object] = asyncio.Queue()
        self.letters_were_read = asyncio.Event()

    def message_arrived(self, message: Deliver) -> None:
        self.told.put_nowait(message)

    def message_failed(self, message: Send) -> None:
        self.told.put_nowait(message)

    def letter_arrived(self, letter: Letter) -> None:
        self.told.put_nowait(letter)

    def letters_read(self) -> None:
        self.letters_were_read.set()

    def other_logged_in(self, login: LoggedIn) -> None:
        self.told.put_nowait(login)

    def link_up(self) -> None:
        self.told.put_nowait("up")

    def link_lost(self, sentence: str) -> None:
        self.told.put_nowait(("lost", sentence))

    def link_closed(self, sentence: str) -> None:
        self.told.put_nowait(("closed", sentence))

    async def next(self) -> object:
        async with asyncio.timeout(PATIENCE):
            return await self.told.get()


@asynccontextmanager
async def opened(
    server: ServerProcess, username: str, timeouts: Timeouts | None = None
) -> AsyncIterator[tuple[Link, User, Profile]]:
    settings = config(server, None)
    profile = await register(settings, username, passphrase=None)
    user = User()
    opened_link = Link(settings, credentials_of(profile), user, timeouts=timeouts)
    await opened_link.open(PATIENCE)
    assert await user.next() == "up"
    try:
        yield opened_link, user, profile
    finally:
        await opened_link.close()


async def test_a_body_travels_and_the_server_answers_requests(server: ServerProcess) -> None:
    async with opened(server, "alice") as (alice, _, _), opened(server, "bob") as (_, at_bob, bob):
        devices = await alice.fetch_devices(bob.address)
        assert devices.identity_key == bob.identity_key
        alice.send(str(bob.address), bob.device, b"c" * 16, Kind.SIGNAL, BODY)
        arrived = await at_bob.next()
        assert isinstance(arrived, Deliver)
        assert (arrived.kind, arrived.body) == (Kind.SIGNAL, BODY)
        with pytest.raises(RequestRefused) as refusal:
            await alice.fetch_devices(Address("nobody", server.name))
        assert refusal.value.code == "unknown-user"
        with pytest.raises(RequestRefused) as no_relay:
            await alice.fetch_turn()
        assert no_relay.value.code == "no-relay"


async def test_a_server_that_answers_something_else_is_still_asked(server: ServerProcess) -> None:
    async with opened(server, "alice") as (alice, _, me):
        fetching = asyncio.ensure_future(alice.fetch_devices(me.address))
        await asyncio.sleep(0)  # it asks, and the server has had no time yet
        (number,) = alice._answers
        dropped = alice.dropped
        alice._session.receive(Published(request=number), time.monotonic())
        assert alice.dropped == dropped + 1
        assert (await fetching).identity_key == me.identity_key


async def test_who_is_refused_for_longer_than_a_request_waits_is_told_for_how_long(server: ServerProcess) -> None:
    async with opened(server, "alice") as (alice, _, me):
        fetching = asyncio.ensure_future(alice.fetch_devices(me.address))
        await asyncio.sleep(0)  # it asks, and the server has had no time yet
        (number,) = alice._answers
        refusal = Error(code=ErrorCode.TOO_MANY, message="Not now.", request=number, retry_after=60.0)
        alice._session.receive(refusal, time.monotonic())
        alice._drain()
        with pytest.raises(RequestRefused, match="Not now") as refused:
            await fetching
        assert (refused.value.code, refused.value.retry_after) == ("too-many", 60.0)


async def test_a_body_for_a_device_that_never_was_fails(server: ServerProcess) -> None:
    async with opened(server, "alice") as (alice, at_alice, me):
        alice.send(f"ghost@{server.name}", "0011223344556677", b"c" * 16, Kind.RING, BODY)
        failed = await at_alice.next()
        assert isinstance(failed, Send)
        assert failed.to == f"ghost@{server.name}"
        assert me.address.user == "alice"


async def test_a_stored_body_waits_for_its_device_and_goes_when_it_is_taken(own_server: ServerProcess) -> None:
    async with opened(own_server, "alice") as (alice, at_alice, _):
        async with opened(own_server, "bob") as (_, at_bob, bob):
            async with asyncio.timeout(PATIENCE):
                await at_bob.letters_were_read.wait()
        alice.store(str(bob.address), bob.device, b"m" * 16, BODY)
        await until(lambda: alice._session.held == 0, PATIENCE)
        await own_server.kill()
        await own_server.start()
        for taking in (False, True):
            user = User()
            again = Link(config(own_server, None), credentials_of(bob), user)
            await again.open(PATIENCE)
            assert await user.next() == "up"
            letter = await user.next()
            assert isinstance(letter, Letter)
            assert (letter.id, letter.body) == (b"m" * 16, BODY)
            assert not user.letters_were_read.is_set()
            if taking:
                again.taken([letter.id])
                async with asyncio.timeout(PATIENCE):
                    await user.letters_were_read.wait()
            await again.close()
        assert alice.has_delivered(str(bob.address), bob.device)
        alice.store(str(bob.address), "0" * 16, b"n" * 16, BODY)
        while not isinstance(failed := await at_alice.next(), Send):
            pass
        assert failed.id == b"n" * 16


async def test_who_deletes_the_account_is_out_for_good(server: ServerProcess) -> None:
    async with opened(server, "alice") as (alice, at_alice, me):
        with pytest.raises(RequestRefused) as refusal:
            await alice.delete_account(lambda proof: me.stored.device.sign(b"", proof))
        assert refusal.value.code == "bad-signature"
        await alice.delete_account(lambda proof: me.stored.identity.sign(b"", proof))
        assert await at_alice.next() == ("closed", "The account was deleted.")
        with pytest.raises(RequestRefused) as unknown:
            await Link(config(server, None), credentials_of(me), User()).open(PATIENCE)
        assert unknown.value.code == "unknown-user"


async def test_what_was_said_while_the_server_was_gone_arrives_when_it_is_back(own_server: ServerProcess) -> None:
    async with opened(own_server, "alice") as (alice, at_alice, _), opened(own_server, "bob") as (_, at_bob, bob):
        await own_server.kill()
        assert (await at_alice.next())[0] == "lost"  # type: ignore[index]
        for number in range(5):
            alice.send(str(bob.address), bob.device, bytes([number]) * 16, Kind.SIGNAL, BODY)
        await own_server.start()
        arrived: list[int] = []
        while len(arrived) < 5:
            told = await at_bob.next()
            if isinstance(told, Deliver):
                arrived.append(told.call[0])
        assert arrived == [0, 1, 2, 3, 4]


async def test_closing_waits_for_the_last_words(server: ServerProcess) -> None:
    async with opened(server, "alice") as (alice, _, _), opened(server, "bob") as (_, at_bob, bob):
        alice.send(str(bob.address), bob.device, b"c" * 16, Kind.END, BODY)
        await alice.close(flush=PATIENCE)
        assert isinstance(await at_bob.next(), Deliver)
        assert "over" in repr(alice)


@asynccontextmanager
async def odd_server(handler: Handler) -> AsyncIterator[NodeConfig]:
    """A WebSocket server that does what `handler` does."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=(limits.SUBPROTOCOL,))
        await socket.prepare(request)
        await handler(socket)
        return socket

    async with web_server(serve) as settings:
        yield settings


@asynccontextmanager
async def web_server(serve: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[NodeConfig]:
    """An HTTP server that answers the upgrade with `serve`."""
    app = web.Application()
    app.router.add_get(limits.SIGNAL_PATH, serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield NodeConfig(server=f"ws://127.0.0.1:{port}", loopback_only=True)
    finally:
        await runner.cleanup()


async def test_a_connection_that_still_works_is_kept_when_the_network_changes(server: ServerProcess) -> None:
    async with opened(server, "alice") as (alice, user, _):
        before = alice._socket
        alice.network_changed()
        alice.network_changed()
        assert alice._probing is not None
        async with asyncio.timeout(PATIENCE):
            await alice._probing
        assert alice._socket is before
        assert user.told.empty()
        assert alice._probing is None


async def test_a_connection_whose_own_address_is_gone_is_made_anew_at_once(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(server, "alice") as (alice, user, profile), opened(server, "bob") as (bob, _, _):
        monkeypatch.setattr(link, "is_ours", lambda name: False)
        alice.network_changed()
        assert alice._probing is None
        lost = await user.next()
        assert isinstance(lost, tuple)
        assert "network of this machine changed" in lost[1]
        assert await user.next() == "up"
        bob.send(str(profile.address), profile.device, b"c" * 16, Kind.SIGNAL, BODY)
        assert isinstance(await user.next(), Deliver)


async def test_a_server_that_does_not_answer_the_probe_is_connected_to_anew(
    own_server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "PROBE_SECONDS", 0.1)
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


async def test_a_network_that_comes_back_ends_the_pause(own_server: ServerProcess) -> None:
    patient = Timeouts(backoff=600.0, backoff_limit=600.0)
    async with opened(own_server, "alice", patient) as (alice, user, _):
        await own_server.stop()
        assert isinstance(await user.next(), tuple)
        await own_server.start()
        alice.network_changed()
        assert await user.next() == "up"


async def test_a_link_that_is_closed_does_not_care_for_the_network(server: ServerProcess) -> None:
    async with opened(server, "alice") as (alice, user, _):
        await alice.close()
        alice.network_changed()
        assert user.told.empty()


async def test_the_name_is_looked_up_again_only_when_the_known_address_does_not_work(
    own_server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleared: list[None] = []
    monkeypatch.setattr(aiohttp.TCPConnector, "clear_dns_cache", lambda *_: cleared.append(None))
    async with opened(own_server, "alice") as (alice, user, _):
        monkeypatch.setattr(link, "is_ours", lambda name: False)
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


def link_to(settings: NodeConfig, *, name: str = "127.0.0.1") -> Link:
    profile = Profile.create(None, None, Address("alice", name))
    timeouts = Timeouts(backoff=0.05, restart=0.05, login=0.2)
    return Link(settings, credentials_of(profile), User(), timeouts=timeouts)


async def test_a_server_of_another_name_gets_no_signature() -> None:
    heard: list[str] = []

    async def greet(socket: web.WebSocketResponse) -> None:
        hello = Hello(server="evil.example.org", nonce=bytes(32), versions=[1], registration=RegistrationPolicy.OPEN)
        await socket.send_str(codec.encode(hello))
        async for message in socket:
            heard.append(message.data)

    async with odd_server(greet) as settings:
        with pytest.raises(ServerUnreachable, match="nothing was signed"):
            await link_to(settings).open(PATIENCE)
    assert heard == []


@pytest.mark.parametrize("frame", ["nonsense", "{}", '{"type":"hello"}', "[" * 50_000, '{"type":"hello","nonce":7}'])
async def test_a_server_that_talks_nonsense_is_given_up_in_time(frame: str) -> None:
    async def babble(socket: web.WebSocketResponse) -> None:
        await socket.send_str(frame)
        await socket.receive()

    async with odd_server(babble) as settings:
        with pytest.raises(ServerUnreachable, match="did not let us in in time"):
            await link_to(settings).open(0.4)


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
        link._url = link._url.replace(limits.SIGNAL_PATH, "/elsewhere")
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
    context = link_to(NodeConfig(server="calls.example.org", ca_file=certificate))._tls
    assert isinstance(context, ssl.SSLContext)
    assert len(context.get_ca_certs()) == 1
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


async def test_a_user_that_fails_to_take_a_message_gets_the_next_one(server: ServerProcess) -> None:
    async with opened(server, "alice") as (alice, _, _), opened(server, "bob") as (_, at_bob, bob):
        genuine = at_bob.message_arrived

        def take(message: Deliver) -> None:
            if message.call == b"a" * 16:
                raise ZeroDivisionError
            genuine(message)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(at_bob, "message_arrived", take)
            for call in (b"a" * 16, b"b" * 16):
                alice.send(str(bob.address), bob.device, call, Kind.SIGNAL, BODY)
            arrived = await at_bob.next()
        assert isinstance(arrived, Deliver)
        assert arrived.call == b"b" * 16


def test_authorities_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_bytes(os.urandom(100))
    for path in (bad, tmp_path / "none.pem"):
        with pytest.raises(ConfigError, match="cannot be used"):
            link_to(NodeConfig(server="calls.example.org", ca_file=path))
