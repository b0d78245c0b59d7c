"""What arrives finds its receiver by its SSRC, is fed back, and is played only with a key."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from entrenous.crypto.sframe import FrameOpener, FrameSealer
from entrenous.errors import RemoteProtocolError
from entrenous.media.codecs.base import VideoCodec
from entrenous.media.feedback import TransportFeedback
from entrenous.media.identities import AudioFormat, RemoteStreams, new_streams
from entrenous.media.incoming_streams import IncomingStreams
from entrenous.media.outgoing import OutgoingStream
from entrenous.media.payload import packetise
from entrenous.media.reports import ReportExchange
from entrenous.media.rtcp import read_rtcp
from entrenous.media.rtp import number_packet, write_rtp
from entrenous.media.streams import StreamKind
from lab.calls import SETTINGS, EventLog, KeepingSink

KEY = bytes(32)


class Bench:
    def __init__(self, kinds: tuple[StreamKind, ...] = tuple(StreamKind)) -> None:
        self.streams, self.peer = new_streams(), new_streams()
        self.sent: list[bytes] = []
        openers = {kind: FrameOpener(0, KEY) for kind in kinds}
        reports = ReportExchange([identity.ssrc for identity in self.streams.by_kind.values()])
        self.incoming = IncomingStreams(
            self.streams, openers, KeepingSink(), SETTINGS, reports, self.sent.append, EventLog()
        )
        self.incoming.expect(RemoteStreams(self.peer.by_kind))
        self.sequence = 0

    def packet(self, kind: StreamKind, payload_type: int, payload: bytes, *, ssrc: int | None = None) -> bytes:
        packet = write_rtp(
            payload_type, 1, self.sequence, 0, self.peer.by_kind[kind].ssrc if ssrc is None else ssrc, payload
        )
        number_packet(packet, self.sequence)
        self.sequence += 1
        return bytes(packet)

    async def free(self) -> None:
        tasks = [asyncio.create_task(work) for work in self.incoming.tasks()]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self.incoming.free()


async def test_packets_find_their_stream_and_are_fed_back() -> None:
    bench = Bench()
    sealer = FrameSealer(0, KEY)
    opus = bench.peer.by_kind[StreamKind.AUDIO].payload_types[AudioFormat.OPUS]
    now = time.monotonic()
    bench.incoming.take(bench.packet(StreamKind.AUDIO, opus, sealer.seal(b"\xf8" + bytes(80))), now)
    for kind in (StreamKind.VIDEO, StreamKind.SCREEN):
        (payload,) = packetise(sealer.seal(b"\x00" + bytes(50)), 0)
        number = bench.peer.by_kind[kind].payload_types[VideoCodec.VP8]
        bench.incoming.take(bench.packet(kind, number, payload), now)
    assert [reception.received for reception in bench.incoming.receptions] == [1, 1, 1]
    bench.incoming.give_feedback(now + 1.0)
    parts = [part for packet in bench.sent for part in read_rtcp(packet)]
    assert sum(len(part.arrivals) for part in parts if isinstance(part, TransportFeedback)) == 3
    await bench.free()


async def test_the_leg_in_use_says_which_packets_of_sound_are_bundles() -> None:
    bench = Bench()
    identity = bench.peer.by_kind[StreamKind.AUDIO]
    moved = replace(identity, payload_types={AudioFormat.OPUS: 96, AudioFormat.RED: 120})
    bench.incoming.use(RemoteStreams({**bench.peer.by_kind, StreamKind.AUDIO: moved}))
    assert bench.incoming.audio is not None
    assert bench.incoming.audio.bundle_type == 120
    alone = replace(identity, payload_types={AudioFormat.OPUS: 96})
    bench.incoming.use(RemoteStreams({**bench.peer.by_kind, StreamKind.AUDIO: alone}))
    assert bench.incoming.audio.bundle_type is None
    await bench.free()


async def test_a_retransmission_becomes_what_it_repeats() -> None:
    bench = Bench()
    out = OutgoingStream(bench.peer.by_kind[StreamKind.SCREEN], 90_000, repairable=True)
    sealer, now = FrameSealer(0, KEY), time.monotonic()
    for lost in (False, True):
        payloads = packetise(sealer.seal(b"\x00" + bytes(50)), int(lost))
        (packet,) = out.frame(payloads, 0, now, marker=True, format_=VideoCodec.VP8)
        if not lost:
            bench.incoming.take(bytes(packet), now)
    repair = out.repair(int.from_bytes(packet[2:4], "big"), now, None)
    assert repair is not None
    bench.incoming.take(bytes(repair), now)
    assert bench.incoming.screen is not None
    assert (bench.incoming.screen.repaired, bench.incoming.screen.frames) == (1, 2)
    await bench.free()


@pytest.mark.parametrize("odd", ["stream", "format", "repair"])
async def test_what_belongs_nowhere_is_refused(odd: str) -> None:
    bench = Bench()
    video = bench.peer.by_kind[StreamKind.VIDEO]
    packet = {
        "stream": bench.packet(StreamKind.VIDEO, 96, b"xxxx", ssrc=1),
        "format": bench.packet(StreamKind.VIDEO, 111, b"xxxx"),
        "repair": bench.packet(StreamKind.VIDEO, 96, b"xxxxxx", ssrc=video.rtx_ssrc),
    }[odd]
    with pytest.raises(RemoteProtocolError):
        bench.incoming.take(packet, time.monotonic())
    await bench.free()


async def test_without_a_key_nothing_of_a_kind_is_taken() -> None:
    bench = Bench(kinds=(StreamKind.AUDIO,))
    assert bench.incoming.video is bench.incoming.screen is None
    with pytest.raises(RemoteProtocolError):
        bench.incoming.take(bench.packet(StreamKind.VIDEO, 96, b"xxxx"), time.monotonic())
    await bench.free()
