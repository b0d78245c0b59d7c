"""Two legs in one process, over loopback: connect, carry, fail, close."""

from __future__ import annotations

import asyncio
import gc
import re
import secrets
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from entrenous.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from entrenous.media.codecs.base import VideoCodec
from entrenous.media.description import MAX_CANDIDATES
from entrenous.media.events import (
    CandidateGathered,
    Data,
    DataOpen,
    LegClosed,
    LegFailed,
    LegStage,
    PathChanged,
    PathFailure,
    PathKind,
    Secured,
)
from entrenous.media.settings import IceServer
from entrenous.media.streams import StreamKind
from entrenous.media.transport.leg import MAX_EARLY, SRTP_TAG, TransportLeg
from entrenous.media.transport.stun import Address
from lab.calls import SETTINGS, LegEnd, connect, connected_legs, make_leg
from lab.relay import HAS_COTURN, Relay, running_relay

needs_coturn = pytest.mark.skipif(not HAS_COTURN, reason="coturn is not installed")

RTP = bytes([0x80, 111, 0, 1]) + bytes(8) + b"payload"


async def close(*ends: LegEnd) -> None:
    await asyncio.gather(*(end.leg.close() for end in ends))


async def test_an_answer_that_travels_longer_than_a_path_is_checked_for_still_connects() -> None:
    settings = replace(SETTINGS, path_patience=0.05)
    arrived = asyncio.Event()
    caller = make_leg(controlling=True, settings=settings, peer_informed=arrived.is_set)
    callee = make_leg(controlling=False, settings=settings)
    offer = await callee.leg.offer()
    agent = callee.leg._ice  # type: ignore[attr-defined]
    vars(agent)["_take_check"] = lambda *_: None  # a NAT that lets nothing in before something went out
    answer = await caller.leg.answer(offer)
    await asyncio.sleep(0.5)  # the answer, on a line that loses packets
    del vars(agent)["_take_check"]
    arrived.set()
    await callee.leg.accept_answer(answer)
    await asyncio.gather(caller.log.wait_for(Secured), callee.log.wait_for(Secured))
    await close(caller, callee)


async def test_two_legs_connect_and_carry_packets_and_messages() -> None:
    caller, callee = await connected_legs()
    for end, other in ((caller, callee), (callee, caller)):
        path = end.leg.path
        assert path is not None
        assert (path.kind, path.protocol, path.overhead) == (PathKind.DIRECT, "udp", 20 + 8 + SRTP_TAG)
        assert end.leg.remote_streams.by_kind == other.streams.by_kind
        await end.log.wait_for(DataOpen)
        end.leg.send_data(b"message")
        assert (await other.log.wait_for(Data)).message == b"message"
        arrived: asyncio.Queue[tuple[bytes, float]] = asyncio.Queue()
        other.leg.receive_into(lambda packet, at, queue=arrived: queue.put_nowait((packet, at)))
        assert end.leg.send_packet(RTP)
        async with asyncio.timeout(60):
            packet, at = await arrived.get()
        assert packet == RTP
        assert 0 <= time.monotonic() - at < 60
    await close(caller, callee)


async def test_packets_wait_for_a_session_within_bounds() -> None:
    caller, callee = await connected_legs()
    for number in range(MAX_EARLY + 10):
        caller.leg.send_packet(RTP[:2] + number.to_bytes(2, "big") + RTP[4:])
    await caller.log.wait_for(DataOpen)
    caller.leg.send_data(b"all sent")
    await callee.log.wait_for(Data)
    arrived: list[bytes] = []
    callee.leg.receive_into(lambda packet, _: arrived.append(packet))
    numbers = [int.from_bytes(packet[2:4], "big") for packet in arrived]
    assert numbers == list(range(10, MAX_EARLY + 10))
    await close(caller, callee)


async def test_a_wrong_fingerprint_fails_the_handshake() -> None:
    caller, callee = make_leg(controlling=True), make_leg(controlling=False)
    answer = await caller.leg.answer(await callee.leg.offer())
    forged = re.sub(r"sha-256 ..:..", "sha-256 00:00", answer)
    await callee.leg.accept_answer(forged)
    failed = await callee.log.wait_for(LegFailed)
    assert (failed.stage, failed.cause) == (LegStage.HANDSHAKE, PathFailure.FINGERPRINT)
    assert not callee.log.of(Secured)
    assert not callee.leg.send_packet(RTP)
    # The other side had verified us and is told that it is over.
    await caller.log.wait_for(LegClosed)
    await close(caller, callee)


async def test_without_a_path_the_leg_fails_in_its_time() -> None:
    settings = replace(SETTINGS, path_timeout=0.1)
    caller, callee = make_leg(controlling=True, settings=settings), make_leg(controlling=False)
    answer = await caller.leg.answer(re.sub(r"a=candidate:.*\r\n", "", await callee.leg.offer()))
    assert answer
    failed = await caller.log.wait_for(LegFailed)
    assert (failed.stage, failed.cause) == (LegStage.PATH, PathFailure.TIMEOUT)
    await close(caller, callee)


async def test_closing_one_end_is_told_at_the_other_and_repeats_harmlessly() -> None:
    caller, callee = await connected_legs()
    await caller.leg.close()
    await caller.leg.close()
    await callee.log.wait_for(LegClosed)
    assert not callee.leg.send_packet(RTP)
    assert not caller.log.of(LegClosed)
    await close(callee)


@pytest.mark.parametrize("stage", ["new", "offered", "connecting"])
async def test_a_leg_closes_at_any_stage(stage: str) -> None:
    caller, callee = make_leg(controlling=True), make_leg(controlling=False)
    if stage != "new":
        offer = await callee.leg.offer()
        if stage == "connecting":
            await caller.leg.answer(offer)
    await close(caller, callee)
    assert len(asyncio.all_tasks()) == 1


async def test_descriptions_come_in_order() -> None:
    caller, callee = make_leg(controlling=True), make_leg(controlling=False)
    with pytest.raises(LocalProtocolError):
        await callee.leg.accept_answer("")
    with pytest.raises(LocalProtocolError):
        _ = callee.leg.remote_streams
    with pytest.raises(LocalProtocolError):
        callee.leg.send_data(b"early")
    offer = await callee.leg.offer()
    with pytest.raises(LocalProtocolError):
        await callee.leg.offer()
    with pytest.raises(LocalProtocolError):
        await callee.leg.answer(offer)
    with pytest.raises(RemoteProtocolError):
        await callee.leg.accept_answer(offer)  # leaves the DTLS role open
    with pytest.raises(RemoteProtocolError):
        await caller.leg.answer("nonsense")
    answer = await caller.leg.answer(offer)  # the refused one did no harm
    with pytest.raises(RemoteProtocolError):
        await callee.leg.accept_answer(answer.replace("a=rtpmap:111", "a=rtpmap:112").replace("SAVPF 111", "SAVPF 112"))
    with pytest.raises(RemoteProtocolError):
        await make_leg(controlling=False).leg.answer(answer)  # an answer is no offer
    await callee.leg.accept_answer(answer)
    await asyncio.gather(caller.log.wait_for(Secured), callee.log.wait_for(Secured))
    await close(caller, callee)


async def test_an_answer_takes_the_numbers_and_names_of_the_offer() -> None:
    caller, callee = make_leg(controlling=True), make_leg(controlling=False)
    offer = (
        (await callee.leg.offer())
        .replace(":96 ", ":105 ")
        .replace("SAVPF 96", "SAVPF 105")
        .replace("apt=96", "apt=105")
    )
    offer = offer.replace("BUNDLE audio", "BUNDLE 0").replace("a=mid:audio", "a=mid:0")
    answer = await caller.leg.answer(offer)
    assert "a=rtpmap:105 VP8/90000" in answer
    assert "a=group:BUNDLE 0 video screen data" in answer
    assert caller.leg.remote_streams.by_kind[StreamKind.VIDEO].payload_types[VideoCodec.VP8] == 105
    await close(caller, callee)


async def test_candidates_are_trickled() -> None:
    caller, callee = make_leg(controlling=True), make_leg(controlling=False)
    offer = await callee.leg.offer()
    lines = re.findall(r"a=candidate:(.*)\r\n", offer)
    bare = re.sub(r"a=(candidate:.*|end-of-candidates)\r\n", "", offer)
    answer = await caller.leg.answer(bare)
    await callee.leg.accept_answer(re.sub(r"a=(candidate:.*|end-of-candidates)\r\n", "", answer))
    for line in lines:
        caller.leg.add_candidate(line)
    caller.leg.add_candidate(None)
    await asyncio.gather(caller.log.wait_for(Secured), callee.log.wait_for(Secured))
    await close(caller, callee)


async def test_bad_candidates_are_refused_and_useless_ones_ignored() -> None:
    end = make_leg(controlling=True)
    for line in (
        "",
        "1 1 udp",
        "1 1 udp x 192.0.2.1 5000 typ host",
        "1 1 udp 1 192.0.2.1 0 typ host",
        "1 1 udp 1 192.0.2.1 70000 typ host",
        "1 1 udp 1 192.0.2.1 5000 typ host " + "x" * 600,
    ):
        with pytest.raises(RemoteProtocolError):
            end.leg.add_candidate(line)
    for line in (
        "1 1 tcp 1 192.0.2.1 5000 typ host",
        "1 2 udp 1 192.0.2.1 5000 typ host",
        "1 1 udp 1 aaaa.local 5000 typ host",
        "1 1 udp 1 not-an-address 5000 typ host",
        "1 1 udp 1 224.0.0.1 5000 typ host",
        "1 1 udp 1 0.0.0.0 5000 typ host",
        "1 1 udp 1 fe80::1%eth0 5000 typ host",
        "1 1 udp 1 192.0.2.1 5000 typ other",
    ):
        end.leg.add_candidate(line)
    assert isinstance(end.leg, TransportLeg)
    assert not end.leg._ice._paths.knows(Address("192.0.2.1", 5000))
    with pytest.raises(RemoteProtocolError, match="too many"):
        for number in range(2 * MAX_CANDIDATES):
            end.leg.add_candidate(f"1 1 udp 1 192.0.2.{number} 5000 typ host")
    await close(end)


async def test_a_peer_may_name_new_addresses_for_as_long_as_the_call_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    end = make_leg(controlling=True)
    await end.leg.offer()
    now = time.monotonic()
    for change in range(100):
        monkeypatch.setattr(time, "monotonic", lambda at=now + change: at)
        for number in range(6):
            end.leg.add_candidate(f"1 1 udp 1 198.51.100.{change} {5000 + number} typ host")
    monkeypatch.undo()
    await close(end)


async def test_relay_only_reveals_no_address() -> None:
    servers = (IceServer("turn:127.0.0.1:9", "user", "word"),)
    end = make_leg(controlling=True, relay_only=True, ice_servers=servers)
    offer = await end.leg.offer()
    assert "a=candidate" not in offer
    assert "end-of-candidates" not in offer
    await close(end)
    assert all(event.line is None for event in end.log.of(CandidateGathered))


def trickle(sender: LegEnd, receiver: LegEnd) -> None:
    """Hand on every address that `sender` gathers after its description."""

    def hand_on(event: object) -> None:
        if isinstance(event, CandidateGathered):
            receiver.leg.add_candidate(event.line)

    sender.log.listeners.append(hand_on)


async def relayed_legs(relay: Relay, *, callee_relay_only: bool) -> tuple[LegEnd, LegEnd]:
    servers = (relay.server("udp"), relay.server("tcp"))
    caller = make_leg(controlling=True, relay_only=True, ice_servers=servers)
    callee = make_leg(controlling=False, relay_only=callee_relay_only, ice_servers=servers if callee_relay_only else ())
    trickle(caller, callee)
    trickle(callee, caller)
    await connect(caller, callee)
    return caller, callee


@needs_coturn
@pytest.mark.parametrize("callee_relay_only", [True, False])
async def test_a_relayed_path_carries_a_call(tmp_path: Path, callee_relay_only: bool) -> None:
    with running_relay(tmp_path) as relay:
        caller, callee = await relayed_legs(relay, callee_relay_only=callee_relay_only)
        secured = await asyncio.gather(caller.log.wait_for(Secured), callee.log.wait_for(Secured))
        assert [each.path.kind for each in secured] == [PathKind.RELAY, PathKind.RELAY]
        assert secured[0].path.local_type == "relay"
        # Over UDP to the relay; or over TCP to it, if that was the first to work.
        assert secured[0].path.overhead in (20 + 8 + 4 + SRTP_TAG, 20 + 32 + 4 + SRTP_TAG)
        await caller.log.wait_for(DataOpen)
        caller.leg.send_data(bytes(5000))
        assert len((await callee.log.wait_for(Data)).message) == 5000
        await close(caller, callee)
    assert len(asyncio.all_tasks()) == 1


@needs_coturn
async def test_a_relay_that_died_does_not_hold_up_the_end(tmp_path: Path) -> None:
    gc.collect()  # what earlier tests left
    descriptors = psutil.Process().num_fds()
    with running_relay(tmp_path) as relay:
        caller, callee = await relayed_legs(relay, callee_relay_only=True)
        await asyncio.gather(caller.log.wait_for(Secured), callee.log.wait_for(Secured))
        relay.kill()
        # The library alone waits 63 s for an answer; the test's own time-out is far below that.
        async with asyncio.timeout(50):
            await close(caller, callee)
    assert len(asyncio.all_tasks()) == 1
    assert psutil.Process().num_fds() <= descriptors


@needs_coturn
async def test_a_direct_path_is_taken_where_there_is_one(tmp_path: Path) -> None:
    with running_relay(tmp_path) as relay:
        caller, callee = (
            make_leg(controlling=controlling, ice_servers=(relay.server(),)) for controlling in (True, False)
        )
        trickle(caller, callee)
        trickle(callee, caller)
        await connect(caller, callee)
        secured = await asyncio.gather(caller.log.wait_for(Secured), callee.log.wait_for(Secured))
        assert [each.path.kind for each in secured] == [PathKind.DIRECT, PathKind.DIRECT]
        await close(caller, callee)


async def test_a_leg_goes_on_from_another_address(monkeypatch: pytest.MonkeyPatch) -> None:
    caller, callee = await connected_legs()
    await asyncio.gather(caller.log.wait_for(DataOpen), callee.log.wait_for(DataOpen))
    trickle(caller, callee)
    monkeypatch.setattr("entrenous.media.transport.gathering.host_addresses", lambda *, loopback_only: ["127.0.0.2"])
    caller.leg.network_changed()
    moved = await caller.log.wait_for(PathChanged)
    assert moved.path.kind is PathKind.DIRECT
    assert "127.0.0.2" in str(caller.log.of(CandidateGathered)[-1].line)
    callee.leg.receive_into(lambda *_: None)
    while not callee.log.of(PathChanged):
        caller.leg.send_packet(RTP[:2] + secrets.token_bytes(2) + RTP[4:])
        await asyncio.sleep(0.02)  # the pace of the packets
    for end, other in ((caller, callee), (callee, caller)):
        end.leg.send_data(b"still here")
        assert (await other.log.wait_for(Data)).message == b"still here"
    await close(caller, callee)


async def test_a_change_of_the_network_is_harmless_in_any_state() -> None:
    caller, callee = make_leg(controlling=True), make_leg(controlling=False)
    for step in ("new", "offered", "connecting", "closed"):
        match step:
            case "offered":
                offer = await callee.leg.offer()
            case "connecting":
                await caller.leg.answer(offer)
            case "closed":
                await close(caller, callee)
        for end in (caller, callee):
            end.leg.network_changed()
            end.leg.use_servers(())
    assert len(asyncio.all_tasks()) == 1
    with pytest.raises(ConfigError):
        callee.leg.use_servers((IceServer("nonsense"),))


@needs_coturn
async def test_a_relayed_call_outlives_its_relay(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    with running_relay(tmp_path) as first, running_relay(tmp_path / "second") as second:
        caller = make_leg(controlling=True, relay_only=True, ice_servers=(first.server("tcp"),))
        callee = make_leg(controlling=False, relay_only=True, ice_servers=(second.server(),))
        trickle(caller, callee)
        trickle(callee, caller)
        await connect(caller, callee)
        await asyncio.gather(caller.log.wait_for(DataOpen), callee.log.wait_for(DataOpen))
        caller.leg.use_servers((second.server(),))
        first.kill()
        await caller.log.wait_for(PathChanged)
        caller.leg.send_data(b"still here")
        assert (await callee.log.wait_for(Data)).message == b"still here"
        await close(caller, callee)


def test_a_malformed_server_is_our_own_mistake() -> None:
    with pytest.raises(ConfigError):
        make_leg(controlling=True, ice_servers=(IceServer("nonsense"),))


async def test_twenty_legs_leave_nothing_behind() -> None:
    await close(*await connected_legs())
    gc.collect()
    process = psutil.Process()
    before = (process.num_fds(), threading.active_count(), len(asyncio.all_tasks()))
    for _ in range(10):
        caller, callee = make_leg(controlling=True), make_leg(controlling=False)
        await connect(caller, callee)
        await asyncio.gather(caller.log.wait_for(DataOpen), callee.log.wait_for(DataOpen))
        await close(caller, callee)
    gc.collect()
    after = (process.num_fds(), threading.active_count(), len(asyncio.all_tasks()))
    assert not [now - then for now, then in zip(after, before, strict=True) if now > then]
