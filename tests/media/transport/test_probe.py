"""Trying a relay out, with a real coturn on loopback."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from entrenous.media.settings import IceServer
from entrenous.media.transport import probe
from entrenous.media.transport.probe import (
    Allocation,
    AllocationRefused,
    NotTurn,
    UdpProbe,
)
from entrenous.media.transport.servers import ServerAddress, parse_server
from lab.relay import HAS_COTURN, Relay, running_relay

HERE = "127.0.0.1"
SECONDS = 5.0

needs_coturn = pytest.mark.skipif(not HAS_COTURN, reason="coturn's turnserver is not installed")


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    with running_relay(tmp_path_factory.mktemp("relay")) as running:
        yield running


def server(relay: Relay, transport: str = "udp") -> ServerAddress:
    return parse_server(relay.server(transport))


@asynccontextmanager
async def allocated(relay: Relay, transport: str = "udp") -> AsyncIterator[Allocation]:
    allocation = await Allocation.open(server(relay, transport), HERE, None, SECONDS)
    try:
        yield allocation
    finally:
        await allocation.close()


@asynccontextmanager
async def probing() -> AsyncIterator[UdpProbe]:
    outside = await UdpProbe.open(HERE)
    try:
        yield outside
    finally:
        outside.close()


@needs_coturn
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_what_is_sent_to_a_relayed_address_arrives_and_back(relay: Relay, transport: str) -> None:
    async with allocated(relay, transport) as allocation, probing() as outside, asyncio.timeout(SECONDS):
        assert allocation.relayed[0] == HERE
        await allocation.permit((HERE, 9))
        outside.send(b"to the relay", allocation.relayed)
        assert await allocation.receive() == (b"to the relay", outside.local)
        allocation.send(b"from the relay", outside.local)
        assert await outside.receive() == (b"from the relay", allocation.relayed)


@needs_coturn
async def test_two_allocations_reach_each_other(relay: Relay) -> None:
    async with allocated(relay) as one, allocated(relay, "tcp") as other, asyncio.timeout(SECONDS):
        await one.permit(other.relayed)
        await other.permit(one.relayed)
        one.send(bytes(1201), other.relayed)  # of a length that TCP has to pad
        assert await other.receive() == (bytes(1201), one.relayed)


@needs_coturn
async def test_who_has_no_permission_does_not_get_in(relay: Relay) -> None:
    friend = "127.0.0.2"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as invited:
        invited.bind((friend, 0))
        async with allocated(relay) as allocation, probing() as outside, asyncio.timeout(SECONDS):
            await allocation.permit((friend, 9))
            outside.send(b"uninvited", allocation.relayed)
            invited.sendto(b"invited", allocation.relayed)  # behind it, on the same way
            assert await allocation.receive() == (b"invited", invited.getsockname())


@needs_coturn
async def test_a_relay_tells_our_address(relay: Relay) -> None:
    async with probing() as outside, asyncio.timeout(SECONDS):
        assert await outside.ask_address((HERE, relay.port)) == outside.local


@needs_coturn
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_wrong_credentials_are_refused(relay: Relay, transport: str) -> None:
    wrong = dataclasses.replace(server(relay, transport), password="wrong")
    with pytest.raises(AllocationRefused) as refused:
        await Allocation.open(wrong, HERE, None, SECONDS)
    assert refused.value.code == 401


@needs_coturn
async def test_an_allocation_is_given_back(tmp_path: Path, relay: Relay) -> None:
    for _ in range(30):  # the relay of these tests has more ports than that, a call's quota has not
        async with allocated(relay):
            pass


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_nobody_listens(transport: str) -> None:
    async with probing() as outside:
        port = outside.local[1]
    nobody = parse_server(IceServer(f"turn:{HERE}:{port}?transport={transport}", "user", "word"))
    with pytest.raises(OSError) as failed:
        await Allocation.open(nobody, HERE, None, SECONDS)
    assert not isinstance(failed.value, TimeoutError)


@asynccontextmanager
async def talking(answer: bytes | None) -> AsyncIterator[ServerAddress]:
    """Something that is no relay, listening on TCP; without an answer it hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        if answer is not None:
            writer.write(answer)
            await writer.drain()
            await reader.read()
        writer.close()

    listener = await asyncio.start_server(serve, HERE, 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        yield parse_server(IceServer(f"turn:{HERE}:{port}?transport=tcp", "user", "word"))


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", None, bytes(20)])
async def test_what_speaks_something_else_is_no_relay(answer: bytes | None) -> None:
    async with talking(answer) as web:
        with pytest.raises(NotTurn):
            await Allocation.open(web, HERE, None, SECONDS)


async def test_who_says_nothing_is_waited_for_as_long_as_agreed() -> None:
    async with talking(b"") as silent:
        with pytest.raises(TimeoutError):
            await Allocation.open(silent, HERE, None, 0.1)


async def test_there_may_be_no_way_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "source_for", lambda host, family: None)
    with pytest.raises(OSError, match="no way there"):
        await UdpProbe.open("192.0.2.1")
