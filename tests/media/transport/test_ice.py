"""Our ICE agent: gathering, the hold of relayed paths, consent, and what strangers send."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest
from aioice import Candidate, ice, stun

from entrenous.media.transport import ice as ours
from entrenous.media.transport.ice import MAX_PENDING_DATAGRAMS, IceAgent
from entrenous.media.transport.servers import ServerAddress


class Owner:
    def __init__(self, *, controlling: bool, relay_only: bool = False, relay_hold: float = 0.0) -> None:
        self.media: list[tuple[bytes, float]] = []
        self.candidates: list[str | None] = []
        self.gathered = asyncio.Event()
        self.consent_lost = asyncio.Event()
        self.agent = IceAgent(
            controlling=controlling,
            relay_only=relay_only,
            loopback_only=True,
            relay_hold=relay_hold,
            close_timeout=0.1,
            on_media=lambda data, at: self.media.append((data, at)),
            on_candidate=self._candidate,
            on_consent_lost=self.consent_lost.set,
        )

    def _candidate(self, line: str | None) -> None:
        self.candidates.append(line)
        if line is None:
            self.gathered.set()

    def meet(self, other: Owner) -> None:
        self.agent.remote_username = other.agent.local_username
        self.agent.remote_password = other.agent.local_password
        for candidate in other.agent.local_candidates:
            self.agent.take_candidate(candidate)
        self.agent.end_candidates()


async def connected() -> tuple[Owner, Owner]:
    one, two = Owner(controlling=True), Owner(controlling=False)
    for owner in (one, two):
        await owner.agent.gather([], 1.0)
    one.meet(two)
    two.meet(one)
    await asyncio.gather(one.agent.connect(), two.agent.connect())
    return one, two


async def close(*owners: Owner) -> None:
    await asyncio.gather(*(owner.agent.close() for owner in owners))


async def test_two_agents_meet_over_loopback_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [])
    one, two = await connected()
    assert [candidate.host for candidate in one.agent.local_candidates] == ["127.0.0.1"]
    await one.agent._send(b"\x16dtls")
    assert await two.agent._recv() == b"\x16dtls"
    await close(one, two)


async def test_where_the_loop_cannot_watch_sockets_its_own_reader_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(address: str, host: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(ours, "UdpTransport", refuse)
    one, two = await connected()
    await one.agent._send(b"\x16dtls")
    one.agent.send_now(b"\x80media")
    assert await two.agent._recv() == b"\x16dtls"
    await close(one, two)


async def test_media_is_stamped_and_bypasses_the_reader() -> None:
    one, two = await connected()
    before = time.monotonic()
    assert one.agent.send_now(b"\x80media")
    await one.agent._send(b"\x16dtls")
    await two.agent._recv()
    ((data, at),) = two.media
    assert data == b"\x80media"
    assert before <= at <= time.monotonic()
    await close(one, two)
    assert not one.agent.send_now(b"\x80media")


async def test_empty_and_malformed_datagrams_of_a_stranger_end_nothing() -> None:
    one, two = await connected()
    raised: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    pair = one.agent.selected
    assert pair is not None
    family = socket.AF_INET6 if ":" in pair.remote_addr[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as stranger:
        for datagram in (b"", b"\x00", b"\x01\x01" + bytes(30), b"\x03" * 20, b"\x05" * 20):
            stranger.sendto(datagram, pair.remote_addr)
        # A binding request whose attribute lies about its length.
        stranger.sendto(b"\x00\x01\x00\x04\x21\x12\xa4\x42" + bytes(12) + b"\x00\x20\x00\x00", pair.remote_addr)
    await one.agent._send(b"\x16still here")
    assert await two.agent._recv() == b"\x16still here"
    assert two.media == []
    assert raised == []
    await close(one, two)


async def test_waiting_datagrams_are_bounded() -> None:
    owner = Owner(controlling=True)
    for number in range(2 * MAX_PENDING_DATAGRAMS):
        owner.agent.datagram_arrived(b"\x16" + number.to_bytes(2, "big"), 0.0)
    assert owner.agent._queue.qsize() == MAX_PENDING_DATAGRAMS
    first = owner.agent._queue.get_nowait()
    assert first is not None
    assert first[0] == b"\x16" + MAX_PENDING_DATAGRAMS.to_bytes(2, "big")
    await owner.agent.close()


async def test_an_unreachable_server_delays_nothing() -> None:
    owner = Owner(controlling=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        servers = [ServerAddress(True, "127.0.0.1", port, username="u", password="p")]
        begin = time.monotonic()
        await owner.agent.gather(servers, 30.0)
        assert owner.agent.local_candidates
        assert not owner.agent.gathered
        await owner.agent.close()
        assert time.monotonic() - begin < 10.0


async def test_gathering_ends_when_the_servers_had_their_time() -> None:
    owner = Owner(controlling=True, relay_only=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        await owner.agent.gather([ServerAddress(True, "127.0.0.1", port, username="u", password="p")], 0.01)
        async with asyncio.timeout(5):
            await owner.gathered.wait()
    assert owner.candidates == [None]
    assert owner.agent.gathered
    assert owner.agent.local_candidates == []
    await owner.agent.close()


async def test_a_relayed_address_is_trickled_and_paired(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = Owner(controlling=True, relay_only=True)
    other = Owner(controlling=False)
    await other.agent.gather([], 1.0)

    async def relayed(**arguments: Any) -> tuple[Candidate, ours.IceSocket]:
        relay = arguments["protocol_factory"]()
        relay.transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: relay, ("127.0.0.1", 0))
        port = relay.transport.get_extra_info("sockname")[1]
        relay.local_candidate = Candidate("1", 1, "udp", 1, "127.0.0.1", port, "relay")
        return relay.local_candidate, relay

    monkeypatch.setattr(ice, "relayed_candidate", relayed)
    await owner.agent.gather([ServerAddress(True, "192.0.2.1", 3478, username="u", password="p")], 1.0)
    owner.meet(other)
    async with asyncio.timeout(5):
        await owner.gathered.wait()
    line = owner.candidates[0]
    assert line is not None
    assert "typ relay" in line
    assert owner.agent._check_list
    await close(owner, other)


def pair_of(agent: IceAgent, local: str, remote: str) -> ice.CandidatePair:
    held = ours.IceSocket(agent)
    held.local_candidate = Candidate("1", 1, "udp", 1, "127.0.0.1", 1, local)
    return ice.CandidatePair(held, Candidate("1", 1, "udp", 1, "127.0.0.2", 2, remote))


async def test_the_controlling_side_holds_relayed_pairs_back_for_a_time() -> None:
    agent = Owner(controlling=True, relay_hold=60.0).agent
    agent._remote_candidates.append(Candidate("1", 1, "udp", 1, "127.0.0.2", 2, "host"))
    agent._hold_until = time.monotonic() + 60.0
    assert agent._held(pair_of(agent, "relay", "host"))
    assert agent._held(pair_of(agent, "host", "relay"))
    assert not agent._held(pair_of(agent, "host", "host"))
    agent._hold_until = time.monotonic()
    assert not agent._held(pair_of(agent, "relay", "host"))


@pytest.mark.parametrize(
    ("controlling", "relay_only", "remote"), [(False, False, "host"), (True, True, "host"), (True, False, "relay")]
)
async def test_nobody_waits_who_has_nothing_to_wait_for(controlling: bool, relay_only: bool, remote: str) -> None:
    agent = Owner(controlling=controlling, relay_only=relay_only).agent
    agent._remote_candidates.append(Candidate("1", 1, "udp", 1, "127.0.0.2", 2, remote))
    agent._hold_until = time.monotonic() + 60.0
    assert not agent._held(pair_of(agent, "relay", remote))


async def test_a_held_pair_is_checked_when_its_time_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = Owner(controlling=True, relay_hold=0.1), Owner(controlling=False)
    for owner in (one, two):
        await owner.agent.gather([], 1.0)
    one.meet(two)
    two.meet(one)
    # Seen from here, every path of the peer but one goes through its relay; that one does not work.
    for candidate in one.agent._remote_candidates:
        candidate.type = "relay"
    one.agent._remote_candidates.append(Candidate("9", 1, "udp", 1, "127.0.0.9", 9, "host"))
    begin = time.monotonic()
    await asyncio.gather(one.agent.connect(), two.agent.connect())
    assert time.monotonic() - begin >= 0.1
    await close(one, two)


async def test_a_check_of_the_peer_sends_ours_again() -> None:
    one, two = await connected()
    pair = one.agent.selected
    assert pair is not None
    pair.state = ice.CandidatePair.State.IN_PROGRESS
    sent: list[stun.Message] = []
    pair.protocol.send_stun = lambda message, addr: sent.append(message)  # type: ignore[method-assign]
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    request.attributes["PRIORITY"] = 1
    one.agent.check_incoming(request, pair.remote_addr, pair.protocol)
    assert sent == [one.agent._requests[pair]]
    await close(one, two)


async def test_consent_ends_when_neither_answers_nor_media_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "CONSENT_INTERVAL", 0.01)
    monkeypatch.setattr(ours, "CONSENT_LIFETIME", 0.03)
    monkeypatch.setattr(ours, "CONSENT_RETRANSMISSIONS", -1)
    one, two = await connected()
    monkeypatch.setattr(two.agent, "request_received", lambda *_: None)
    async with asyncio.timeout(10):
        await one.consent_lost.wait()
    assert one.agent.selected is not None  # nothing was closed behind the owner's back
    await close(one, two)


async def test_authentic_media_is_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    async def no_answer(*_: Any, **__: Any) -> None:
        nonlocal asked
        asked += 1
        one.agent.heard_at = time.monotonic() if asked < 5 else 0.0
        raise stun.TransactionTimeout

    monkeypatch.setattr(ours, "CONSENT_INTERVAL", 0.01)
    monkeypatch.setattr(ours, "CONSENT_LIFETIME", 0.03)
    one, two = await connected()
    pair = one.agent.selected
    assert pair is not None
    monkeypatch.setattr(pair.protocol, "request", no_answer)
    async with asyncio.timeout(10):
        await one.consent_lost.wait()
    assert asked >= 5
    await close(one, two)
