"""The laboratory does what it says, shown with real packets."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.network import Access, Families, Link, Nat, Network, Way, needs_network
from lab.network.links import Direction
from lab.network.namespaces import Host
from lab.network.probes import PORT, Prober, prober, start_responders

pytestmark = needs_network

EVERY_NAT = {nat.name.lower(): nat for nat in Nat}


def left_over() -> list[str]:
    listed = [*Path("/run/netns").iterdir(), *Path("/etc/netns").glob("*")]
    return [path.name for path in listed if path.name.startswith(f"entrenous-lab-{os.getpid()}.")]


async def test_each_nat_lets_in_and_maps_as_its_name_says() -> None:
    wanted = {  # of one mapping: answered, uninvited gets in, the same for another peer; TCP to 8000, to 443
        Nat.NONE: (True, True, True, True, True),
        Nat.FULL_CONE: (True, True, True, True, True),
        Nat.PORT_RESTRICTED: (True, False, True, True, True),
        Nat.SYMMETRIC: (True, False, False, True, True),
        Nat.UDP_BLOCKED: (False, False, False, True, True),
        Nat.TCP_443: (False, False, False, False, True),
    }
    async with Network(EVERY_NAT) as lab:
        first, second = lab.host("signal"), lab.host("turn")
        await start_responders(first, second)

        async def behaviour(name: str) -> tuple[bool, ...]:
            probe = await prober(lab.host(name))
            mapped = await probe.seen_from(first.ipv4)
            uninvited = mapped is not None and await probe.lets_in(mapped, second.ipv4)
            same = mapped is not None and await probe.seen_from(second.ipv4) == mapped
            tcp = await probe.connects(first.ipv4, 8000), await probe.connects(first.ipv4, 443)
            return mapped is not None, uninvited, same, *tcp

        found = await asyncio.gather(*(behaviour(name) for name in EVERY_NAT))
        assert dict(zip(Nat, found, strict=True)) == wanted
    assert not left_over()


async def test_an_invited_packet_gets_through_a_restricted_cone() -> None:
    async with Network(alice=Nat.PORT_RESTRICTED) as lab:
        first, second = lab.host("signal"), lab.host("turn")
        await start_responders(first, second)
        probe = await prober(lab.host("alice"))
        mapped = await probe.seen_from(first.ipv4)
        assert mapped is not None
        assert not await probe.lets_in(mapped, second.ipv4)
        await probe.seen_from(second.ipv4)
        assert await probe.lets_in(mapped, second.ipv4)


async def test_homes_have_the_internet_they_should() -> None:
    kinds = [(nat, families) for nat in (Nat.NONE, Nat.SYMMETRIC) for families in Families]
    homes = {f"{nat}-{families.value}": Access(nat, families) for nat, families in kinds}
    async with Network(homes) as lab:
        server, other = lab.host("signal"), lab.host("turn")
        await start_responders(server, other)
        for name, access in homes.items():
            probe = await prober(lab.host(name))
            assert (await probe.seen_from(server.ipv4) is not None) == access.families.has_v4, name
            seen = await probe.seen_from(server.ipv6)
            assert (seen is not None) == access.families.has_v6, name
            if seen is not None:
                assert seen[0] == lab.host(name).ipv6, "there is no NAT for IPv6"
                assert await probe.lets_in(seen, other.ipv6) == (access.nat is Nat.NONE), "but a firewall"
        dual, other_dual = lab.host("none-dual"), lab.host("symmetric-dual")
        await start_responders(dual)
        probe = await prober(other_dual)
        assert await probe.seen_from(dual.ipv6) is not None
        assert await probe.seen_from(dual.ipv4) is not None


async def test_a_line_delays_loses_and_breaks() -> None:
    async with Network(alice=Nat.PORT_RESTRICTED, bob=Nat.PORT_RESTRICTED) as lab:
        server = lab.host("turn")
        await start_responders(server)
        probe, alice = await prober(lab.host("alice")), lab.home("alice")
        await alice.shape(delay=0.02)
        # The shortest is what the line takes: a busy machine only adds to it.
        assert 0.04 <= min(await probe.times(server.ipv4, count=10, interval=0.01)) < 0.06
        await alice.shape(Way.UP, delay=0.05)
        assert 0.07 <= min(await probe.times(server.ipv4, count=10, interval=0.01)) < 0.09
        await alice.shape(delay=0.0)
        await alice.shape(Way.UP, loss=0.2)
        assert 720 < len(await probe.times(server.ipv4, count=1000, interval=0.001)) < 880
        await alice.shape(loss=0.0, up=False)
        assert await probe.seen_from(server.ipv4) is None
        lost = (await alice.counts())["up"].lost
        assert 121 <= lost <= 281
        await alice.shape(up=True)
        assert await probe.seen_from(server.ipv4) is not None
        assert (await lab.home("bob").counts())["up"].packets == 0, "lines are for themselves"


def _pass(link: Link, packets: int, *, size: int = 100, interval: float = 0.001) -> tuple[Direction, list[float]]:
    """When each of many packets arrives; those that do not are left out."""
    direction, arrivals = Direction(random.Random(1), link), []
    for number in range(packets):
        now = number * interval
        direction.accept(bytes(size), now)
        while (due := direction.next_due()) is not None and due <= now:
            arrivals += [due] * len(direction.due(due))
    while (due := direction.next_due()) is not None:
        arrivals += [due] * len(direction.due(due))
    return direction, arrivals


@pytest.mark.parametrize("burst", [0.0, 0.1])
def test_loss_has_the_wanted_share_and_comes_in_bursts_of_the_wanted_length(burst: float) -> None:
    direction, interval = Direction(random.Random(2), Link(loss=0.2, burst=burst)), 0.005
    arrived = []
    for number in range(100_000):
        direction.accept(b"packet", number * interval)
        arrived.append(bool(direction.due(number * interval)))
    losses = arrived.count(False)
    begins = sum(before and not after for before, after in itertools.pairwise(arrived))
    assert 0.18 < losses / len(arrived) < 0.22
    # Independent losses follow each other too: 1 / (1 - loss) in a row on the mean.
    assert losses / begins == pytest.approx(burst / interval or 1.25, rel=0.1)


def test_a_burst_is_over_when_a_rare_packet_comes_again() -> None:
    direction = Direction(random.Random(4), Link(loss=0.2, burst=0.1))
    arrived = 0
    for number in range(2_000):
        direction.accept(b"packet", 5.0 * number)
        arrived += len(direction.due(5.0 * number))
    assert 1_520 < arrived < 1_680


def test_a_rate_spaces_packets_and_a_full_queue_drops() -> None:
    direction, arrivals = _pass(Link(rate=100_000, queue=0.2), 1000, size=125)
    assert arrivals[1] - arrivals[0] == pytest.approx(0.01)
    assert direction.counts.overflowed == 1000 - len(arrivals)
    assert len(arrivals) == pytest.approx(120, abs=2)  # one second and the queue of 0.2 s, at 100 packets a second


def test_jitter_keeps_the_order_and_reordering_does_not() -> None:
    jittered = Direction(random.Random(3), Link(delay=0.05, jitter=0.03))
    reordered = Direction(random.Random(3), Link(reorder=0.1))
    for direction, in_order in ((jittered, True), (reordered, False)):
        for number in range(200):
            direction.accept(bytes([number]), number / 1000)
        came = b"".join(direction.due(10.0))
        assert len(came) == 200
        assert (came == bytes(range(200))) == in_order


async def test_a_handoff_changes_the_addresses_that_it_should() -> None:
    async with Network(alice=Access(Nat.SYMMETRIC, Families.DUAL), bob=Nat.NONE) as lab:
        server = lab.host("signal")
        await start_responders(server)
        for name, lan in (("alice", True), ("alice", False), ("bob", True), ("bob", False)):
            home, host = lab.home(name), lab.host(name)
            probe = await prober(host)
            before, lan_before = await probe.seen_from(server.ipv4), host.ipv4
            await home.handoff(lan=lan)
            after = await probe.seen_from(server.ipv4)
            assert before is not None
            assert after is not None
            assert after[0] != before[0]
            assert (host.ipv4 != lan_before) == (lan or name == "bob")
            assert f"inet {host.ipv4}/" in await host.run("ip", "address")
            assert f"inet {lan_before}/" not in await host.run("ip", "address") or host.ipv4 == lan_before
        probe = await prober(lab.host("alice"))
        prefix = await probe.seen_from(server.ipv6)
        await lab.home("alice").handoff(lan=False)
        assert prefix is not None
        assert (await probe.seen_from(server.ipv6) or prefix)[0] != prefix[0]


async def test_a_client_gets_an_address_only_when_its_new_network_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    carry_out = Host.ip
    standing: set[str] = set()

    async def watched(host: Host, *lines: str) -> None:
        assert host.name != "alice" or standing >= {"alice-router", "core"}
        await carry_out(host, *lines)
        standing.add(host.name)

    async with Network(alice=Nat.PORT_RESTRICTED) as lab:
        monkeypatch.setattr(Host, "ip", watched)
        await lab.home("alice").handoff()
    assert "alice" in standing


@pytest.mark.parametrize("nat", [Nat.FULL_CONE, Nat.PORT_RESTRICTED, Nat.SYMMETRIC])
async def test_rebinding_forgets_the_mapping_and_changes_the_port_only(nat: Nat) -> None:
    async with Network(alice=nat) as lab:
        first, second = lab.host("signal"), lab.host("turn")
        await start_responders(first, second)
        probe = await prober(lab.host("alice"))
        before, lan_before = await probe.seen_from(first.ipv4), lab.host("alice").ipv4
        assert before is not None
        await lab.home("alice").rebind()
        assert not await probe.lets_in(before, first.ipv4), "the old mapping is forgotten"
        after = await probe.seen_from(first.ipv4)
        assert after is not None
        assert after[0] == before[0]
        assert after[1] != before[1]
        assert lab.host("alice").ipv4 == lan_before
        assert (await probe.seen_from(second.ipv4) == after) == (nat is not Nat.SYMMETRIC), "and it is of the same kind"


async def _default_interface(probe: Prober, server: str, lab: Network) -> str:
    seen = await probe.seen_from(server)
    uplinks = lab.home("alice").uplinks
    return next((name for name, uplink in uplinks.items() if seen and uplink.public_v4 == seen[0]), "none")


async def test_cable_wireless_and_vpn_take_turns() -> None:
    vpn = Access(interface="vpn0", metric=50, plugged=False)
    async with Network(alice=(Access(), Access(Nat.SYMMETRIC, interface="wlan0", metric=600), vpn)) as lab:
        server, home = lab.host("signal").ipv4, lab.home("alice")
        await start_responders(lab.host("signal"))

        async def way_out() -> str:
            return await _default_interface(await prober(home.host), server, lab)  # a new socket each time

        assert await way_out() == "eth0"
        await home.unplug()
        assert "eth0" not in await home.host.run("ip", "link")
        assert await way_out() == "wlan0"
        await home["vpn0"].plug_in()
        assert await way_out() == "vpn0"
        await home["vpn0"].unplug()
        await home.plug_in()
        assert await way_out() == "eth0"


_SENDS_FROM = """
import socket, sys
udp = socket.socket(type=socket.SOCK_DGRAM)
udp.bind((sys.argv[1], 0))
udp.sendto(b"{}", (sys.argv[2], int(sys.argv[3])))
"""


@pytest.mark.parametrize("nat", [Nat.NONE, Nat.PORT_RESTRICTED])
async def test_a_new_router_drops_what_comes_from_an_old_address_and_is_reached_at_once_all_the_same(nat: Nat) -> None:
    async with Network(alice=(Access(), Access(nat, interface="vpn0", metric=50, plugged=False))) as lab:
        server, home = lab.host("signal").ipv4, lab.home("alice")
        await start_responders(lab.host("signal"))
        probe = await prober(home.host)
        await home["vpn0"].plug_in()
        # Were hardware addresses asked for, it would be for this packet and in vain, and again a second later.
        await home.host.run(sys.executable, "-I", "-S", "-c", _SENDS_FROM, home.first.lan_v4, server, PORT)
        assert await _default_interface(probe, server, lab) == "vpn0"
        assert (await home["vpn0"].counts())["up"].packets == 1


async def test_both_ends_of_a_home_know_each_other_whatever_addresses_they_are_given() -> None:
    async with Network(alice=Access(families=Families.DUAL)) as lab:
        home, router = lab.home("alice"), lab.host("alice-router")
        for change in (home.handoff, home.rebind, home.unplug, home.plug_in):
            await change()
            if home.first.is_plugged:
                known = await router.run("ip", "neigh", "show", "nud", "permanent", "dev", "lan")
                assert f"{home.first.lan_v4} lladdr" in known
                assert f"{home.first.lan_v6} lladdr" in known
                assert (await home.host.run("ip", "neigh", "show", "nud", "permanent", "dev", "eth0")).count(
                    "lladdr"
                ) >= 2


async def test_the_names_of_the_servers_resolve() -> None:
    async with Network(alice=Nat.NONE) as lab:
        said = await lab.host("alice").run("getent", "ahosts", "turn.lab")
        assert lab.host("turn").ipv4 in said


async def test_a_router_can_become_another_kind() -> None:
    async with Network(alice=Nat.PORT_RESTRICTED) as lab:
        await start_responders(lab.host("signal"))
        probe = await prober(lab.host("alice"))
        assert await probe.seen_from(lab.host("signal").ipv4) is not None
        await lab.home("alice").set_nat(Nat.UDP_BLOCKED)
        assert await probe.seen_from(lab.host("signal").ipv4) is None
        with pytest.raises(ValueError, match="built as one"):
            await lab.home("alice").set_nat(Nat.NONE)


async def test_nothing_is_left_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        async with Network(alice=Nat.NONE) as lab:
            stays = await lab.host("alice").start(
                "sh", "-c", "trap '' TERM; echo trapped; sleep 60", stdout=subprocess.PIPE
            )
            assert stays.stdout is not None
            await stays.stdout.readline()
            raise ZeroDivisionError
    assert not left_over()
    assert stays.returncode is not None


_HOLDS_A_LAB = """
import asyncio
from lab.network import Nat, Network
async def main():
    async with Network(alice=Nat.NONE) as lab:
        print(lab.host("alice").namespace, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_nothing_is_left_after_a_signal(number: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _HOLDS_A_LAB), env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    namespace = (await process.stdout.readline()).decode().strip()
    assert Path("/run/netns", namespace).exists()
    process.send_signal(number)
    await process.wait()
    if number is signal.SIGKILL:  # it could not: the next lab does
        async with Network():
            pass
    assert not Path("/run/netns", namespace).exists()
