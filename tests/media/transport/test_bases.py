"""Host sockets, candidates, and which addresses of this machine count."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import ifaddr
import pytest
from aioice import Candidate

from entrenous.media.transport import bases
from entrenous.media.transport.bases import MAX_HOSTS, HostSocket, candidate_line, host_addresses, source_for
from entrenous.media.transport.servers import ServerAddress
from entrenous.media.transport.stun import Address


def adapters(*addresses: str) -> list[SimpleNamespace]:
    ips = [SimpleNamespace(ip=(each, 0, 0) if ":" in each else each) for each in addresses]
    return [SimpleNamespace(ips=ips)]


def test_loopback_and_link_local_addresses_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = adapters("127.0.0.1", "169.254.3.3", "192.0.2.1", "::1", "fe80::1", "2001:db8::5")
    found[0].ips.append(SimpleNamespace(ip=("fe80::2", 0, 3)))
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: found)
    monkeypatch.setattr(bases, "preferred_hosts", lambda: ["2001:db8::5"])
    assert host_addresses(loopback_only=False) == ["2001:db8::5", "192.0.2.1"]
    assert host_addresses(loopback_only=True) == ["127.0.0.1"]


def test_addresses_are_bounded_and_the_preferred_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: adapters(*(f"192.0.2.{number}" for number in range(1, 100))))
    monkeypatch.setattr(bases, "preferred_hosts", lambda: ["192.0.2.77"])
    found = host_addresses(loopback_only=False)
    assert len(found) == MAX_HOSTS
    assert found[0] == "192.0.2.77"


def test_where_the_system_would_send_from() -> None:
    import socket

    assert source_for("127.0.0.1", socket.AF_INET) == "127.0.0.1"
    assert source_for("256.1.1.1", socket.AF_INET) is None


@pytest.mark.parametrize("kind", ["host", "srflx", "relay"])
@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_candidates_tell_where_to_send_and_nothing_behind_it(kind: str, host: str) -> None:
    candidate = Candidate.from_sdp(candidate_line(kind, Address(host, 4711), 3))
    assert (candidate.type, candidate.host, candidate.port, candidate.foundation) == (kind, host, 4711, "3")
    assert candidate.related_address in (None, "0.0.0.0", "::")
    assert candidate.related_port in (None, 9)


def test_priorities_follow_the_kind() -> None:
    priorities = [bases.priority(kind) for kind in ("host", "prflx", "srflx", "relay")]
    assert priorities == sorted(priorities, reverse=True)
    assert bases.priority("relay") < 1 << 24 <= bases.priority("srflx")


async def test_a_socket_carries_datagrams_with_their_origin() -> None:
    arrived: asyncio.Queue[tuple[bytes, Address]] = asyncio.Queue()
    one, two = (
        HostSocket(
            "127.0.0.1",
            preferred=True,
            on_datagram=lambda _, data, origin, at: arrived.put_nowait((data, origin)),
            on_vanished=lambda _: None,
        )
        for _ in range(2)
    )
    assert not one.send(b"early", Address("127.0.0.1", 9))
    await one.open()
    await two.open()
    assert one.send(b"hello", two.address)
    async with asyncio.timeout(60):
        assert await arrived.get() == (b"hello", one.address)
    one.close()
    two.close()
    assert not one.send(b"late", two.address)


async def test_an_address_that_is_not_ours_any_more_is_told() -> None:
    vanished: list[HostSocket] = []
    base = HostSocket("127.0.0.1", preferred=True, on_datagram=lambda *_: None, on_vanished=vanished.append)
    await base.open()
    opened, base.transport = base.transport, SimpleNamespace(try_send=lambda *_: OSError(22, "gone"))  # type: ignore[assignment]  # a socket of the kernel whose address went away
    assert not base.send(b"hello", Address("127.0.0.1", 9))
    assert vanished == [base]
    assert opened is not None
    opened.close()


@pytest.mark.parametrize(("host", "overhead"), [("192.0.2.1", 28), ("2001:db8::1", 48)])
def test_headers_are_those_of_the_address(host: str, overhead: int) -> None:
    ignored = HostSocket(host, preferred=True, on_datagram=lambda *_: None, on_vanished=lambda _: None)
    assert ignored.local.overhead == overhead


@pytest.mark.parametrize(
    ("host", "transport", "tls", "overhead"),
    [
        ("192.0.2.1", "udp", False, 32),
        ("2001:db8::1", "udp", False, 52),
        ("192.0.2.1", "tcp", False, 56),
        ("192.0.2.1", "tcp", True, 78),
    ],
)
def test_a_relay_takes_headers_of_its_own(host: str, transport: str, tls: bool, overhead: int) -> None:
    server = ServerAddress(is_turn=True, host="turn.example", port=3478, transport=transport, tls=tls)
    assert bases.relay_overhead(server, host) == overhead
