"""The agent around the decisions: two of them over loopback, and what strangers and liars can do to it."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest
from aioice import Candidate

from entrenous.media.events import PathFailure
from entrenous.media.transport import udp
from entrenous.media.transport.bases import GatheringPolicy, HostSocket
from entrenous.media.transport.ice import MAX_PENDING_DATAGRAMS, IceAgent, NoPathError, Origin
from entrenous.media.transport.pairs import LEG_LIFETIME
from entrenous.media.transport.stun import Address, Attribute, Class, Message, Method, parse
from lab.calls import until

TRANSACTION = b"transaction."


class Owner:
    def __init__(self, *, controlling: bool, relay_only: bool = False, patience: float = 3.0) -> None:
        self.media: list[tuple[bytes, float, Origin]] = []
        self.candidates: list[str | None] = []
        self.moves = 0
        self.consent_lost = asyncio.Event()
        self.agent = IceAgent(
            controlling=controlling,
            policy=GatheringPolicy(relay_only=relay_only, loopback_only=True, timeout=1.0, close_timeout=0.1),
            relay_hold=0.0,
            patience=patience,
            on_media=lambda data, at, origin: self.media.append((data, at, origin)),
            on_candidate=self.candidates.append,
            on_moved=self._moved,
            on_consent_lost=self.consent_lost.set,
        )

    def _moved(self) -> None:
        self.moves += 1

    def meet(self, other: Owner) -> None:
        self.agent.remote_username = other.agent.local_username
        self.agent.remote_password = other.agent.local_password
        for line in other.agent.local_candidates:
            self.agent.take_candidate(Candidate.from_sdp(line))
        self.agent.end_candidates()

    @property
    def base(self) -> HostSocket:
        (base,) = self.agent._bases.values()
        assert isinstance(base, HostSocket)
        return base


async def gathered() -> tuple[Owner, Owner]:
    one, two = Owner(controlling=True), Owner(controlling=False)
    for owner in (one, two):
        await owner.agent.gather([])
    return one, two


async def connected() -> tuple[Owner, Owner]:
    one, two = await gathered()
    one.meet(two)
    two.meet(one)
    await asyncio.gather(one.agent.connect(), two.agent.connect())
    return one, two


async def close(*owners: Owner) -> None:
    await asyncio.gather(*(owner.agent.close() for owner in owners))
    assert len(asyncio.all_tasks()) == 1


async def test_two_agents_meet_and_carry() -> None:
    one, two = await connected()
    await one.agent._send(b"\x16dtls")
    assert await two.agent._recv() == b"\x16dtls"
    before = time.monotonic()
    assert one.agent.send_now(b"\x80media")
    await until(lambda: bool(two.media))
    ((data, at, origin),) = two.media
    assert data == b"\x80media"
    assert before <= at <= time.monotonic()
    assert origin.address == one.base.address
    two.agent.heard(origin, at)
    await close(one, two)
    assert not one.agent.send_now(b"\x80media")
    with pytest.raises(ConnectionError):
        await one.agent._recv()


async def test_where_the_loop_cannot_watch_sockets_its_own_reader_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(udp, "UdpTransport", refuse)
    one, two = await connected()
    await one.agent._send(b"\x16dtls")
    assert await two.agent._recv() == b"\x16dtls"
    await close(one, two)


async def test_both_ends_that_think_they_decide_settle_it() -> None:
    for controlling in (True, False):
        one, two = Owner(controlling=controlling), Owner(controlling=controlling)
        for owner in (one, two):
            await owner.agent.gather([])
        one.meet(two)
        two.meet(one)
        await asyncio.gather(one.agent.connect(), two.agent.connect())
        await until(lambda one=one, two=two: one.agent.role != two.agent.role)  # type: ignore[misc]  # bound here
        await close(one, two)


async def test_a_stranger_is_not_answered_and_changes_nothing() -> None:
    one, two = await connected()
    raised: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    target = one.base.address
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.setblocking(False)
        request = Message(Method.BINDING, Class.REQUEST, TRANSACTION)
        request.attributes[Attribute.USERNAME] = f"{one.agent.local_username}:x".encode()
        request.attributes[Attribute.USE_CANDIDATE] = b""
        for datagram in (
            b"",
            b"\x00",
            b"\x01\x01" + bytes(30),
            b"\x05" * 20,
            request.encode(),
            request.encode(b"a guess"),
            b"\x16dtls",
        ):
            stranger.sendto(datagram, target)
        origin = Address(*stranger.getsockname())
        await two.agent._send(b"\x16still here")
        assert await one.agent._recv() == b"\x16still here"
        with pytest.raises(BlockingIOError):
            stranger.recv(2000)
        assert not one.agent._paths.knows(origin)
        # Media is handed on with its origin, to be checked; unless it proves authentic, nothing is sent there.
        stranger.sendto(b"\x80media", target)
        await until(lambda: bool(one.media))
        assert not one.agent._paths.knows(origin)
        one.agent.heard(Origin(one.base.local, origin), time.monotonic())
        one.agent.heard(Origin(one.base.local, origin), time.monotonic())
        await until(lambda: any(pair.remote.address == origin and pair.tries for pair in one.agent._paths.pairs))
        assert parse(stranger.recv(2000)).kind is Class.REQUEST  # asked whether it is the peer
        assert one.agent.selected is not None
        assert one.agent.selected.remote.address == two.base.address
    assert raised == []
    await close(one, two)


@pytest.mark.parametrize("lie", ["password", "place", "transaction"])
async def test_only_the_right_answer_from_the_right_place_counts(lie: str) -> None:
    one, two = await gathered()
    one.agent.remote_username, one.agent.remote_password = "them", "the password"
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as by,
    ):
        far.bind(("127.0.0.1", 0))
        far.setblocking(False)
        one.agent.take_candidate(Candidate("1", 1, "udp", 1, *far.getsockname(), "host"))
        connecting = asyncio.create_task(one.agent.connect())
        loop = asyncio.get_running_loop()
        request = parse(await loop.sock_recv(far, 2000))
        assert request.is_authentic(b"the password")
        assert request.attributes[Attribute.USERNAME] == f"them:{one.agent.local_username}".encode()
        transaction = request.transaction if lie != "transaction" else TRANSACTION
        answer = Message(Method.BINDING, Class.SUCCESS, transaction)
        answer.put_address(Attribute.XOR_MAPPED_ADDRESS, one.base.address)
        wrong = answer.encode(b"another" if lie == "password" else b"the password")
        (by if lie == "place" else far).sendto(wrong, one.base.address)
        request = parse(await loop.sock_recv(far, 2000))
        assert not connecting.done()
        answer.transaction = request.transaction
        far.sendto(answer.encode(b"the password"), one.base.address)
        async with asyncio.timeout(60):
            await connecting
    await close(one, two)


async def test_waiting_datagrams_are_bounded() -> None:
    one, two = await connected()
    for number in range(2 * MAX_PENDING_DATAGRAMS):
        one.agent._datagram_arrived(one.base, b"\x16" + number.to_bytes(2, "big"), two.base.address, 0.0)
    assert one.agent._queue.qsize() == MAX_PENDING_DATAGRAMS
    assert await one.agent._recv() == b"\x16" + MAX_PENDING_DATAGRAMS.to_bytes(2, "big")
    await close(one, two)


async def test_checks_before_the_peers_description_are_answered_and_remembered() -> None:
    one, two = await gathered()
    two.meet(one)
    connecting = asyncio.create_task(two.agent.connect())
    async with asyncio.timeout(60):
        await connecting  # although the other end knows nothing yet
    assert one.agent._paths.knows(two.base.address)
    one.agent.remote_username, one.agent.remote_password = two.agent.local_username, two.agent.local_password
    async with asyncio.timeout(60):
        await one.agent.connect()
    await close(one, two)


async def test_failure_comes_when_it_is_certain() -> None:
    one, two = Owner(controlling=True, patience=0.05), Owner(controlling=False)
    await one.agent.gather([])
    one.agent.remote_username, one.agent.remote_password = "them", "the password"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        one.agent.take_candidate(Candidate("1", 1, "udp", 1, *silent.getsockname(), "host"))
        connecting = asyncio.create_task(one.agent.connect())
        one.agent.end_candidates()
        with pytest.raises(NoPathError) as raised:
            async with asyncio.timeout(60):
                await connecting
    assert raised.value.cause is PathFailure.NO_ANSWER
    await close(one, two)


async def test_a_leg_for_relays_only_without_relays_fails_at_once() -> None:
    one = Owner(controlling=True, relay_only=True, patience=120.0)
    await one.agent.gather([])
    one.agent.remote_username, one.agent.remote_password = "them", "the password"
    with pytest.raises(NoPathError) as raised:
        async with asyncio.timeout(60):
            await one.agent.connect()
    assert raised.value.cause is PathFailure.NO_RELAY
    await close(one)


async def test_consent_that_ends_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = await connected()
    real = time.monotonic
    await two.agent.close()
    monkeypatch.setattr(time, "monotonic", lambda: real() + LEG_LIFETIME + 1.0)
    async with asyncio.timeout(60):
        await one.consent_lost.wait()
    assert one.agent.selected is not None  # nothing was closed behind the owner's back
    assert not one.agent.send_now(b"\x80media")
    await close(one)


async def test_a_socket_whose_address_vanishes_is_parked_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = await connected()
    present = ["127.0.0.1"]
    monkeypatch.setattr("entrenous.media.transport.gathering.host_addresses", lambda *, loopback_only: list(present))
    present[:] = ["127.0.0.2"]
    one.agent.network_changed()
    await until(lambda: one.moves == 1)
    assert one.agent.selected is not None
    assert one.candidates[-1] is not None
    assert "127.0.0.2" in one.candidates[-1]
    assert one.agent.send_now(b"\x80media")
    await until(lambda: bool(two.media))
    assert two.media[-1][2].address.host == "127.0.0.2"
    two.agent.heard(two.media[-1][2], time.monotonic())
    await until(lambda: two.agent.selected is not None and two.agent.selected.remote.address.host == "127.0.0.2")
    old = next(base for local, base in one.agent._bases.items() if not local.is_up)
    assert isinstance(old, HostSocket)
    assert old.host == "127.0.0.1"
    present[:] = ["127.0.0.1"]
    one.agent.network_changed()
    await until(lambda: one.moves == 2)
    assert one.agent.selected.local is old.local
    await close(one, two)
