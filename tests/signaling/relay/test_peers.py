"""Where the relay relays to: to callers, and not into anybody's network."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack

import pytest

from entrenous_signaling.turn_config import render_firewall
from lab.coturn import Coturn, credentials, lab_settings, needs_coturn, running_coturn
from lab.network import needs_network
from lab.relay_place import Place
from lab.turn_client import TCP, TurnClient, TurnRefused, inside, turn_client

pytestmark = [needs_network, needs_coturn, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def asking(coturn: Coturn, place: Place) -> Iterator[dict[int, TurnClient]]:
    """Callers with an allocation, by version of IP."""
    with ExitStack() as stack:
        clients = {version: stack.enter_context(place.client()) for version in (4, 6)}
        for version, client in clients.items():
            client.allocate(version)
        yield clients


@pytest.mark.parametrize(
    "peer",
    [
        *(
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.254",
            "127.0.0.1",
            "127.9.9.9",
        ),
        *("169.254.1.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1"),
        *("192.168.0.1", "192.168.255.255", "198.18.0.1", "198.19.255.255", "224.0.0.1", "239.255.255.250"),
        *("240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::127.0.0.1", "::10.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:203.0.113.10"),
        *("::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::", "64:ff9b:1::a00:1", "100::1"),
        *("::100", "1::", "10::", "0:0:0:1::", "1fff:ffff::ffff", "2001::1", "2001:20::1", "2002:7f00:1::1"),
        *("2002:a00:1::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fd12:3456::", "fe80::1", "fec0::1"),
        *("ff02::1", "ff0e::1"),
    ],
)
async def test_private_local_and_special_peers_are_refused(asking: dict[int, TurnClient], peer: str) -> None:
    client = asking[6 if ":" in peer else 4]
    with pytest.raises(TurnRefused) as refusal:
        client.permit(peer)
    assert refusal.value.code == 403
    with pytest.raises(TurnRefused) as refusal:
        client.bind_channel((peer, 53), 0x4001)
    assert refusal.value.code == 403


@pytest.mark.parametrize("peer", ["8.8.8.8", "100.63.255.255", "172.32.0.1", "223.255.255.255", "2606:4700::1111"])
async def test_public_peers_are_not(asking: dict[int, TurnClient], peer: str) -> None:
    asking[6 if ":" in peer else 4].permit(peer)


async def test_what_the_operator_denies_is_refused_and_the_rest_is_not(place: Place) -> None:
    denied = ("9.9.9.0/24", "2a00:1:2::/48")
    async with running_coturn(place.spare, lab_settings(place.spare, place.folder, denied_peers=denied)):
        for version, refused, taken in ((4, "9.9.9.255", "9.9.8.1"), (6, "2a00:1:2:3::4", "2a00:1:3::4")):
            with place.client(relay=place.spare) as client:
                client.allocate(version)
                client.permit(taken)
                with pytest.raises(TurnRefused):
                    client.permit(refused)


@pytest.mark.parametrize("version", [4, 6])
async def test_two_callers_meet_at_the_relays_own_address(coturn: Coturn, place: Place, version: int) -> None:
    with place.client("tls") as one, place.client() as two:
        here, there = one.allocate(version), two.allocate(version)
        one.permit(there[0])
        two.permit(here[0])
        one.send(b"from one", there)
        assert two.receive() == (b"from one", here)
        two.send(b"from two", here)
        assert one.receive() == (b"from two", there)


async def test_a_peer_without_permission_gets_nothing_through(coturn: Coturn, place: Place) -> None:
    with ExitStack() as stack:
        client = stack.enter_context(place.client())
        relayed = client.allocate()
        client.permit(place.other.ipv4)
        for host, data in ((place.spare, b"unasked"), (place.other, b"asked for")):
            peer = stack.enter_context(inside(host, lambda: socket.socket(type=socket.SOCK_DGRAM)))
            peer.bind((host.ipv4, 0))
            peer.sendto(data, relayed)
        assert client.receive()[0] == b"asked for"


@pytest.mark.parametrize("version", [4, 6])
async def test_other_services_of_the_relays_machine_are_out_of_reach_with_the_firewall_rules(
    place: Place, version: int
) -> None:
    settings = lab_settings(place.spare, place.folder)
    own, other = (host.ipv6 if version == 6 else host.ipv4 for host in (place.spare, place.other))
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    with ExitStack() as stack:
        service, peer = (
            stack.enter_context(inside(host, lambda: socket.socket(family, socket.SOCK_DGRAM)))
            for host in (place.spare, place.other)
        )
        service.bind((own, 5353))
        peer.bind((other, 5353))
        for receiver in (service, peer):
            receiver.settimeout(60.0)
        async with running_coturn(place.spare, settings), AsyncExitStack() as clients:
            one, two = (clients.enter_context(place.client(relay=place.spare)) for _ in range(2))
            here, there = one.allocate(version), two.allocate(version)
            one.permit(own)
            two.permit(own)
            one.permit(other)
            one.send(b"reaches it", (own, 5353))
            assert service.recv(99) == b"reaches it"
            for _ in range(2):  # a second time replaces them
                await place.spare.run("nft", "-f", "-", text=render_firewall(settings))
            one.send(b"does not", (own, 5353))
            one.send(b"nor this", (own, 3478))
            one.send(b"callers meet", there)
            assert two.receive() == (b"callers meet", here)
            one.send(b"so do others", (other, 5353))
            assert peer.recv(99) == b"so do others"
            service.setblocking(False)
            with pytest.raises(BlockingIOError):
                service.recv(99)
    await place.spare.run("nft", "delete", "table", "inet", "entrenous_turn")


async def test_behind_a_translation_callers_are_told_the_public_address_and_meet_there(place: Place) -> None:
    inner, public = "10.9.0.5", "203.0.113.99"
    await place.spare.ip(f"addr add {inner}/24 dev eth0")
    await place.caller.ip("addr add 10.9.0.6/24 dev eth0")
    settings = lab_settings(place.spare, place.folder, addresses=(inner,), public_addresses=(public,))
    async with running_coturn(place.spare, settings):
        with (
            turn_client(place.caller, (inner, 3478), credentials()) as one,
            turn_client(place.caller, (inner, 3478), credentials(), "tcp") as two,
        ):
            here, there = one.allocate(), two.allocate()
            assert (here[0], there[0]) == (public, public)
            one.permit(public)
            two.permit(public)
            one.send(b"meet", there)
            assert two.receive() == (b"meet", here)
            with pytest.raises(TurnRefused):
                one.permit("10.9.0.6")


async def test_tcp_relays_are_refused(coturn: Coturn, place: Place) -> None:
    for over in ("tcp", "tls"):
        with place.client(over) as client, pytest.raises(TurnRefused) as refusal:
            client.allocate(transport=TCP)
        assert refusal.value.code == 442
