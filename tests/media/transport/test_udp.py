"""Sockets that are emptied at once and know when each datagram came."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import Any

import pytest

from entrenous.media.transport import udp
from entrenous.media.transport.udp import MAX_BURST, LoopUdp, UdpTransport, arrival, open_udp


class Keeper:
    def __init__(self) -> None:
        self.arrived: list[tuple[bytes, float]] = []
        self.errors: list[Exception] = []
        self.lost = asyncio.Event()
        self.changed = asyncio.Event()
        self.made: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    def error_received(self, exc: Exception) -> None:
        self.errors.append(exc)

    def datagram_arrived(self, data: bytes, addr: tuple[Any, ...], at: float) -> None:
        self.arrived.append((data, at))
        self.changed.set()


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


@pytest.mark.parametrize("address", ["127.0.0.1", *(["::1"] if socket.has_ipv6 and has_ipv6() else [])])
async def test_datagrams_go_both_ways(address: str) -> None:
    one, two = Keeper(), Keeper()
    first, second = UdpTransport(address, one), UdpTransport(address, two)
    assert one.made is first
    first.sendto(b"there", second.get_extra_info("sockname")[:2])
    async with asyncio.timeout(60):
        await two.changed.wait()
    assert two.arrived[0][0] == b"there"
    for transport in (first, second):
        transport.close()
        transport.abort()
        assert transport.is_closing()
        transport.sendto(b"late", ("127.0.0.1", 9))
    async with asyncio.timeout(60):
        await asyncio.gather(one.lost.wait(), two.lost.wait())


async def test_a_busy_loop_does_not_falsify_arrivals_and_reads_all_at_once() -> None:
    keeper = Keeper()
    transport = UdpTransport("127.0.0.1", keeper)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sent = []
        for number in range(3):
            sender.sendto(bytes([number]), transport.get_extra_info("sockname"))
            sent.append(time.monotonic())
            time.sleep(0.03)  # noqa: ASYNC251 - the loop is to be held up, as by an encoder
    async with asyncio.timeout(60):
        await keeper.changed.wait()
    assert [data for data, _ in keeper.arrived] == [b"\x00", b"\x01", b"\x02"]
    for (_, at), sent_at in zip(keeper.arrived, sent, strict=True):
        assert at == pytest.approx(sent_at, abs=0.015)
    transport.close()


async def test_a_flood_leaves_turns_to_others() -> None:
    keeper = Keeper()
    transport = UdpTransport("127.0.0.1", keeper)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(2 * MAX_BURST):
            sender.sendto(b"x", transport.get_extra_info("sockname"))
    transport._read()
    assert len(keeper.arrived) == MAX_BURST
    transport.close()


async def test_what_cannot_be_sent_is_told_and_ends_nothing() -> None:
    keeper = Keeper()
    transport = UdpTransport("127.0.0.1", keeper)
    transport.sendto(bytes(70_000), ("127.0.0.1", 9))
    assert len(keeper.errors) == 1
    transport.sendto(b"self", transport.get_extra_info("sockname"))
    async with asyncio.timeout(60):
        await keeper.changed.wait()
    transport.close()


async def test_an_address_that_is_not_ours_is_refused_without_a_leak() -> None:
    with pytest.raises(OSError, match="assign"):
        UdpTransport("192.0.2.77", Keeper())


def stamped(seconds: float) -> list[tuple[int, int, bytes]]:
    return [(socket.SOL_SOCKET, 35, struct.pack("@ll", int(seconds), int(seconds % 1 * 1e9)))]


def test_the_stamp_of_the_kernel_becomes_monotonic_time() -> None:
    assert arrival(stamped(999.75), now=50.0, wall=1000.0) == pytest.approx(49.75)


@pytest.mark.parametrize("control", [[], stamped(1001.0), stamped(900.0), [(socket.SOL_SOCKET, 35, b"short")]])
def test_without_a_believable_stamp_it_is_now(control: list[tuple[int, int, bytes]]) -> None:
    assert arrival(control, now=50.0, wall=1000.0) == 50.0


@pytest.mark.parametrize("loops_reader", [False, True])
async def test_a_connected_socket_hears_its_server_only(loops_reader: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if loops_reader:

        def refuse(*_: object) -> None:
            raise NotImplementedError

        monkeypatch.setattr(udp, "UdpTransport", refuse)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
    ):
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        keeper = Keeper()
        opened = await open_udp(None, keeper, server.getsockname())
        assert isinstance(opened, LoopUdp) == loops_reader
        assert opened.try_send(b"question", ("192.0.2.1", 9)) is None  # goes where the socket is connected to
        async with asyncio.timeout(60):
            question, origin = await asyncio.get_running_loop().sock_recvfrom(server, 100)
            assert question == b"question"
            assert origin == opened.get_extra_info("sockname")
            stranger.sendto(b"forged", origin)
            server.sendto(b"answer", origin)
            await keeper.changed.wait()
        assert [data for data, _ in keeper.arrived] == [b"answer"]
        opened.close()
        async with asyncio.timeout(60):
            await keeper.lost.wait()
        assert opened.is_closing()
        assert opened.try_send(b"late") is not None


async def test_why_a_datagram_could_not_be_sent_is_told() -> None:
    keeper = Keeper()
    transport = UdpTransport("127.0.0.1", keeper)
    error = transport.try_send(b"far", ("192.0.2.1", 9))
    assert error is not None  # from a loopback address, nothing leaves the machine
    transport.sendto(b"far", ("192.0.2.1", 9))
    assert len(keeper.errors) == 1
    transport.close()
