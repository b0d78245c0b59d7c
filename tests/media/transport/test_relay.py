"""One allocation of a real TURN server over each transport."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from entrenous.media.transport import turn
from entrenous.media.transport.relay import Relay
from entrenous.media.transport.servers import ServerAddress, parse_server
from entrenous.media.transport.stun import Address
from lab.relay import HAS_COTURN, running_relay

needs_coturn = pytest.mark.skipif(not HAS_COTURN, reason="coturn is not installed")


class Owner:
    def __init__(self, server: ServerAddress) -> None:
        self.arrived: asyncio.Queue[tuple[bytes, Address, float]] = asyncio.Queue()
        self.gone = asyncio.Event()
        self.relay = Relay(
            server,
            "127.0.0.1",
            ipv6=False,
            on_datagram=lambda data, origin, at: self.arrived.put_nowait((data, origin, at)),
            on_gone=self.gone.set,
            on_vanished=lambda: None,
        )


@contextlib.contextmanager
def echo() -> Iterator[tuple[socket.socket, Address]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        far.setblocking(False)
        yield far, Address(*far.getsockname())


@needs_coturn
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_datagrams_go_both_ways(tmp_path: Path, transport: str) -> None:
    loop = asyncio.get_running_loop()
    with running_relay(tmp_path) as server, echo() as (far, address):
        owner = Owner(parse_server(server.server(transport)))
        assert await owner.relay.open(None, 60.0)
        assert owner.relay.local_host == "127.0.0.1"
        for payload in (b"first", b"second is odd", b"third"):
            before = time.monotonic()
            assert owner.relay.send(payload, address)
            async with asyncio.timeout(60):
                data, origin = await loop.sock_recvfrom(far, 2000)
                assert (data, Address(*origin)) == (payload, owner.relay.address)
                far.sendto(payload[::-1], owner.relay.address)
                got, source, at = await owner.arrived.get()
            assert (got, source) == (payload[::-1], address)
            assert before <= at <= time.monotonic()
        await owner.relay.close(1.0)
        assert not owner.relay.send(b"late", address)
        assert not owner.gone.is_set()
    assert len(asyncio.all_tasks()) == 1


@needs_coturn
async def test_wrong_credentials_are_refused(tmp_path: Path) -> None:
    with running_relay(tmp_path) as server:
        owner = Owner(replace(parse_server(server.server()), password="wrong"))
        assert not await owner.relay.open(None, 60.0)
        assert owner.relay.refused
        await owner.relay.close(0.1)


@needs_coturn
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_server_that_dies_is_noticed(tmp_path: Path, transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entrenous.media.transport.relay.PROBE_PATIENCE", 0.1)
    with running_relay(tmp_path) as server:
        owner = Owner(parse_server(server.server(transport)))
        assert await owner.relay.open(None, 60.0)
        server.kill()
        owner.relay.probe()
        async with asyncio.timeout(60):
            await owner.gone.wait()
        await owner.relay.close(0.1)


@needs_coturn
async def test_a_short_lived_allocation_is_kept_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "BINDING_LIFE", 1.0)
    options = ("--max-allocate-lifetime=4", "--stale-nonce=2", "--permission-lifetime=3", "--channel-lifetime=3")
    loop = asyncio.get_running_loop()
    with running_relay(tmp_path, *options) as server, echo() as (far, address):
        owner = Owner(parse_server(server.server()))
        assert await owner.relay.open(None, 60.0)
        begin = time.monotonic()
        while time.monotonic() < begin + 8.0:
            owner.relay.send(b"out", address)
            async with asyncio.timeout(60):
                await loop.sock_recv(far, 2000)
                far.sendto(b"in", owner.relay.address)
                await owner.arrived.get()
            await asyncio.sleep(0.1)  # the pace of the packets
        assert not owner.gone.is_set()
        await owner.relay.close(1.0)


MOBILITY = ("--mobility", "--no-software-attribute")
"""Without the second, coturn 4.6.1 answers a ticket with the end of a message."""


class Box:
    """A NAT on loopback in front of a server, whose outer port can change."""

    def __init__(self, server: Address) -> None:
        self._server = server
        self._inner = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._inner.bind(("127.0.0.1", 0))
        self._inner.setblocking(False)
        self._client: tuple[str, int] | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._inner, self._out)
        self._outer = self._map()

    @property
    def port(self) -> int:
        return int(self._inner.getsockname()[1])

    def _map(self) -> socket.socket:
        outer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        outer.connect(self._server)
        outer.setblocking(False)
        self._loop.add_reader(outer, self._in)
        return outer

    def rebind(self) -> None:
        self._loop.remove_reader(self._outer)
        self._outer.close()
        self._outer = self._map()

    def _out(self) -> None:
        data, self._client = self._inner.recvfrom(2000)
        self._outer.send(data)

    def _in(self) -> None:
        assert self._client is not None
        self._inner.sendto(self._outer.recv(2000), self._client)

    def close(self) -> None:
        for each in (self._inner, self._outer):
            self._loop.remove_reader(each)
            each.close()


async def heard(owner: Owner, far: socket.socket) -> bytes:
    far.sendto(b"to the same address", owner.relay.address)
    async with asyncio.timeout(60):
        return (await owner.arrived.get())[0]


@needs_coturn
async def test_an_allocation_outlives_the_mapping_that_it_was_made_through(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    with running_relay(tmp_path, *MOBILITY) as server, echo() as (far, address):
        box = Box(Address("127.0.0.1", server.port))
        owner = Owner(replace(parse_server(server.server()), port=box.port))
        assert await owner.relay.open(None, 60.0)
        before = owner.relay.address
        for _ in range(3):
            owner.relay.send(b"out", address)
            await loop.sock_recv(far, 2000)
            box.rebind()
            owner.relay.probe()
            far.sendto(b"lost", owner.relay.address)
            async with asyncio.timeout(60):
                while True:
                    owner.relay.send(b"on", address)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.05):
                            assert await loop.sock_recv(far, 2000) == b"on"
                            break
            assert await heard(owner, far) == b"to the same address"
        assert owner.relay.address == before
        assert not owner.gone.is_set()
        await owner.relay.close(1.0)
        box.close()


@needs_coturn
async def test_an_allocation_goes_on_from_another_socket(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    with running_relay(tmp_path, *MOBILITY) as server, echo() as (far, address):
        owner = Owner(parse_server(server.server()))
        assert await owner.relay.open(None, 60.0)
        before = owner.relay.address
        owner.relay.send(b"out", address)
        await loop.sock_recv(far, 2000)
        for _ in range(3):
            assert await owner.relay.move()
            async with asyncio.timeout(60):
                while True:
                    owner.relay.send(b"on", address)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.05):
                            await loop.sock_recv(far, 2000)
                            break
            assert await heard(owner, far) == b"to the same address"
        assert owner.relay.address == before
        await owner.relay.close(1.0)
        assert not owner.gone.is_set()
    assert len(asyncio.all_tasks()) == 1


@needs_coturn
@pytest.mark.parametrize(("transport", "options"), [("udp", ()), ("tcp", MOBILITY)])
async def test_without_mobility_nothing_is_moved(tmp_path: Path, transport: str, options: tuple[str, ...]) -> None:
    with running_relay(tmp_path, *options) as server:
        owner = Owner(parse_server(server.server(transport)))
        assert await owner.relay.open(None, 60.0)
        assert not await owner.relay.move()
        owner.relay.probe()
        await owner.relay.close(1.0)
        assert not owner.gone.is_set()


async def test_a_server_that_is_silent_or_not_there_costs_its_time_and_no_more() -> None:
    with echo() as (_, address):
        owner = Owner(ServerAddress(True, "127.0.0.1", address.port, username="u", password="p"))
        with pytest.raises(TimeoutError):
            await owner.relay.open(None, 0.05)
        await owner.relay.close(0.05)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        stream = ServerAddress(True, "127.0.0.1", closed.getsockname()[1], "tcp", username="u", password="p")
        owner = Owner(stream)
        with pytest.raises(ConnectionRefusedError):
            await owner.relay.open(None, 60.0)
        await owner.relay.close(0.05)
    assert len(asyncio.all_tasks()) == 1
