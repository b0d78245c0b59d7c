"""DTLS, SRTP and the data channel between two agents in one process."""

from __future__ import annotations

import asyncio

import pytest
from aioice import Candidate
from aiortc.rtcsctptransport import DataChunk

from entrenous.errors import LocalProtocolError
from entrenous.media.description import MAX_MESSAGE
from entrenous.media.transport.bases import GatheringPolicy
from entrenous.media.transport.ice import IceAgent
from entrenous.media.transport.secure import MAX_UNSENT, DataChannel, SecureTransport, is_rtcp

RTP = bytes([0x80, 111]) + bytes(10) + b"payload"
RTCP = bytes([0x80, 201, 0, 1, 0, 0, 0, 7])


class End:
    def __init__(self, *, controlling: bool) -> None:
        self.media: list[bytes] = []
        self.agent = IceAgent(
            controlling=controlling,
            policy=GatheringPolicy(relay_only=False, loopback_only=True, timeout=1.0, close_timeout=0.1),
            relay_hold=0.0,
            patience=3.0,
            on_media=lambda data, *_: self.media.append(data),
            on_candidate=lambda _: None,
            on_moved=lambda: None,
            on_consent_lost=lambda: None,
        )
        self.dtls = SecureTransport(self.agent, client=controlling)
        self.messages: asyncio.Queue[bytes] = asyncio.Queue()
        self.opened = asyncio.Event()
        self.channel = DataChannel(self.dtls, on_open=self.opened.set, on_message=self.messages.put_nowait)

    async def close(self) -> None:
        await self.channel.stop()
        await self.dtls.part()
        await self.agent.close()


async def two_ends() -> tuple[End, End]:
    ends = End(controlling=True), End(controlling=False)
    for end in ends:
        await end.agent.gather([])
    for end, other in (ends, ends[::-1]):
        end.agent.remote_username = other.agent.local_username
        end.agent.remote_password = other.agent.local_password
        for line in other.agent.local_candidates:
            end.agent.take_candidate(Candidate.from_sdp(line))
        end.agent.end_candidates()
    await asyncio.gather(*(end.agent.connect() for end in ends))
    return ends


async def two_secured() -> tuple[End, End]:
    one, two = await two_ends()
    assert await asyncio.gather(one.dtls.secure(two.dtls.fingerprint), two.dtls.secure(one.dtls.fingerprint)) == [
        True,
        True,
    ]
    return one, two


async def close(*ends: End) -> None:
    await asyncio.gather(*(end.close() for end in ends))


async def test_packets_are_protected_both_ways_and_once() -> None:
    one, two = await two_secured()
    for sender, receiver in ((one, two), (two, one)):
        for packet in (RTP, RTCP):
            protected = sender.dtls.protect(packet)
            assert protected is not None
            assert b"payload" not in protected
            assert receiver.dtls.unprotect(protected) == packet
            assert receiver.dtls.unprotect(protected) is None
    await close(one, two)


async def test_every_flipped_byte_is_noticed() -> None:
    one, two = await two_secured()
    protected = one.dtls.protect(RTP)
    assert protected is not None
    for at in range(len(protected)):
        assert two.dtls.unprotect(protected[:at] + bytes([protected[at] ^ 1]) + protected[at + 1 :]) is None
    assert two.dtls.unprotect(b"\x80") is None
    assert two.dtls.unprotect(protected) == RTP
    await close(one, two)


async def test_nothing_is_protected_before_the_handshake() -> None:
    end = End(controlling=True)
    assert not end.dtls.ready
    assert end.dtls.protect(RTP) is None
    await end.close()


async def test_another_certificate_is_refused_and_the_peer_learns_of_it() -> None:
    one, two = await two_ends()
    wrong = ":".join(["00"] * 32)
    closed = asyncio.Event()
    two.dtls.on("statechange", lambda: two.dtls.state == "closed" and closed.set())
    assert await asyncio.gather(one.dtls.secure(wrong), two.dtls.secure(one.dtls.fingerprint)) == [False, True]
    assert one.dtls.fingerprint_refused
    assert not one.dtls.ready
    await one.dtls.part()
    async with asyncio.timeout(60):
        await closed.wait()
    await close(one, two)


async def test_messages_go_both_ways_in_order() -> None:
    one, two = await two_secured()
    await asyncio.gather(one.channel.open(), two.channel.open())
    async with asyncio.timeout(60):
        await asyncio.gather(one.opened.wait(), two.opened.wait())
        sent = [bytes([number]) * 3000 for number in range(20)] + [bytes(MAX_MESSAGE)]
        for message in sent:
            one.channel.send(message)
        two.channel.send(b"back")
        assert [await two.messages.get() for _ in sent] == sent
        assert await one.messages.get() == b"back"
    await close(one, two)


async def test_what_our_side_may_not_send() -> None:
    one, two = await two_secured()
    with pytest.raises(LocalProtocolError, match="not open"):
        one.channel.send(b"early")
    await asyncio.gather(one.channel.open(), two.channel.open())
    async with asyncio.timeout(60):
        await one.opened.wait()
    with pytest.raises(LocalProtocolError, match="bytes"):
        one.channel.send(bytes(MAX_MESSAGE + 1))
    with pytest.raises(LocalProtocolError, match="behind"):
        for _ in range(2 + MAX_UNSENT // MAX_MESSAGE):
            one.channel.send(bytes(MAX_MESSAGE))
    await close(one, two)


async def test_what_the_peer_may_not_send_is_counted_and_dropped() -> None:
    one, two = await two_secured()
    await asyncio.gather(one.channel.open(), two.channel.open())
    async with asyncio.timeout(60):
        await asyncio.gather(one.opened.wait(), two.opened.wait())
        await one.channel._send(7, 53, b"another stream")
        await one.channel._send(0, 51, b"text")
        await one.channel._send(0, 53, bytes(MAX_MESSAGE + 1))
        await two.channel._handle_data(b"\x13\x88\x13\x88" + bytes(4) + b"not a checksum")
        one.channel.send(b"good")
        assert await two.messages.get() == b"good"
    assert two.channel.refused == 3
    await close(one, two)


async def test_a_peer_that_overruns_its_window_fills_no_memory() -> None:
    end = End(controlling=True)
    end.channel._advertised_rwnd = -1
    chunk = DataChunk()
    chunk.stream_id = 0
    await end.channel._receive_data_chunk(chunk)
    assert end.channel.refused == 1
    await end.close()


def test_rtcp_is_told_from_rtp() -> None:
    assert is_rtcp(RTCP)
    assert not is_rtcp(RTP)
    assert not is_rtcp(b"")
