"""What an observer learns from the packets of a call: who has broken SRTP still has nothing to listen to or look at.

A real call is captured on the loopback interface. With the SRTP keys of its DTLS transports, remembered as they
were set up, the outer encryption is removed; then the payloads are tried as they are, without the SFrame header,
and opened with the frame keys.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import psutil
import pylibsrtp
import pytest
from aiortc import rtcdtlstransport
from aiortc.rtp import RtpPacket
from av.error import FFmpegError

from entrenous import SAMPLE_RATE, Call, CombinedSource, StreamKind, TestCardSource, asset_path
from entrenous.crypto.sframe import FrameOpener, FrameRejected, FrameSealer
from entrenous.crypto.sframe_cipher import decode_header
from entrenous.errors import CodecError
from entrenous.media.codecs.base import BLOCK_SAMPLES, Samples
from entrenous.media.codecs.opus import OpusDecoder
from entrenous.media.frames import FrameBuffer
from entrenous.media.identities import PAYLOAD_TYPES, AudioFormat
from entrenous.media.payload import read_piece
from entrenous.media.rtp import SequenceCounter, is_rtcp
from entrenous.media.sources.testcard import read_frame_number
from entrenous.media.transport.leg import TransportLeg
from entrenous.media.video_codecs import best_codecs, make_decoder
from lab.calls import SoundSource, until
from lab.capture import WHY_NOT, Packet, can_capture, capturing, conversations, is_dtls, is_media, read_capture
from lab.likeness import best_correlation, cards, speech_likeness
from lab.recordings import psnr, read_sound
from world.nodes import PATIENCE, ringing, two_nodes
from world.serverproc import running_server

pytestmark = pytest.mark.skipif(not can_capture(), reason=WHY_NOT)

CODEC = best_codecs()[0]
"""What both ends prefer."""

TALK, SILENCE, MUTED = 150, 50, 50
"""Blocks of 20 ms: speech, a pause, speech that is not to be heard."""
RINGING_SECONDS = 0.5
"""How long both ends have a secured connection before the call is accepted."""


@dataclass
class Observed:
    """A call that was captured, and the keys that nobody but its ends has."""

    speech: Samples
    datagrams: list[Packet] = field(default_factory=list)
    segments: list[Packet] = field(default_factory=list)
    server_port: int = 0
    secured_at: float = 0.0
    accepted_at: float = 0.0
    words: tuple[str, str, str] = ("", "", "")
    left_out: int = 0
    """Blocks of sound for which a busy machine left one of the ends no time."""
    descriptions: list[str] = field(default_factory=list)
    srtp_keys: list[tuple[bytes, int]] = field(default_factory=list)
    frame_keys: list[bytes] = field(default_factory=list)

    def media(self) -> list[Packet]:
        """Every datagram in the range of SRTP."""
        return [datagram for datagram in self.datagrams if is_media(datagram.payload)]

    def streams(self, payload_type: int) -> list[list[RtpPacket]]:
        """The RTP packets of each stream of a payload type in order, SRTP removed."""
        policies = [
            pylibsrtp.Policy(key=key, ssrc_type=pylibsrtp.Policy.SSRC_ANY_INBOUND, srtp_profile=profile)
            for key, profile in dict.fromkeys(self.srtp_keys)
        ]
        sessions = [pylibsrtp.Session(policy) for policy in policies]
        streams: dict[int, list[RtpPacket]] = {}
        for datagram in self.media():
            if not is_rtcp(datagram.payload) and datagram.payload[1] & 0x7F == payload_type:
                packet = RtpPacket.parse(_unprotected(sessions, datagram.payload))
                streams.setdefault(packet.ssrc, []).append(packet)
        return list(streams.values())

    def opened(self, frames: list[bytes]) -> list[bytes]:
        """The frames of one stream, with the one frame key that fits."""
        (found,) = [opened for key in self.frame_keys if (opened := _opened(key, frames)) is not None]
        return found


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    folder = tmp_path_factory.mktemp("wire")
    spoken = read_sound(asset_path("speech-a.opus"))
    speech = np.concatenate(
        (spoken[: TALK * BLOCK_SAMPLES], np.zeros(SILENCE * BLOCK_SAMPLES, np.int16), spoken[: SAMPLE_RATE * 3])
    )
    seen = Observed(speech)
    with pytest.MonkeyPatch.context() as patch:
        _remember_keys(patch, seen)
        asyncio.run(_call(folder, seen))
    yield seen


def _remember_keys(patch: pytest.MonkeyPatch, seen: Observed) -> None:
    class RememberedPolicy(pylibsrtp.Policy):
        def __init__(self, key: bytes, ssrc_type: int, srtp_profile: int) -> None:
            super().__init__(key=key, ssrc_type=ssrc_type, srtp_profile=srtp_profile)
            seen.srtp_keys.append((key, srtp_profile))

    rotate, offer, answer = FrameSealer.rotate, TransportLeg.offer, TransportLeg.answer

    def remembering_rotate(self: FrameSealer, epoch: int, base_key: bytes) -> None:
        seen.frame_keys.append(base_key)
        rotate(self, epoch, base_key)

    async def remembering_offer(self: TransportLeg) -> str:
        seen.descriptions.append(await offer(self))
        return seen.descriptions[-1]

    async def remembering_answer(self: TransportLeg, description: str) -> str:
        seen.descriptions.append(await answer(self, description))
        return seen.descriptions[-1]

    patch.setattr(rtcdtlstransport, "Policy", RememberedPolicy)
    patch.setattr(FrameSealer, "rotate", remembering_rotate)
    patch.setattr(TransportLeg, "offer", remembering_offer)
    patch.setattr(TransportLeg, "answer", remembering_answer)


async def _call(folder: Path, seen: Observed) -> None:
    """A call that rings with its connection secured, is accepted, talks, pauses, is muted and hung up."""

    def source() -> CombinedSource:
        return CombinedSource(audio=SoundSource(seen.speech), video=TestCardSource())

    async with running_server(folder) as server, capturing(folder / "lo.pcap"):
        seen.server_port = int(server.listening.rpartition(":")[2])
        async with two_nodes(server) as (alice, bob):
            there = await alice.call(bob.address, send=source())
            here = await ringing(bob)
            await until(lambda: "secured" in there.timings and "secured" in here.timings, PATIENCE)
            seen.secured_at = time.time()
            ports = {each.laddr.port for each in psutil.Process().net_connections("udp")}
            await asyncio.sleep(RINGING_SECONDS)  # that nothing happens has no event to wait for
            seen.accepted_at = time.time()
            await here.accept(send=source())
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(there.wait_active(), here.wait_active())
            assert there.words is not None
            seen.words = there.words
            for blocks, muted in ((TALK + SILENCE // 2, True), (TALK + SILENCE + MUTED, False)):
                await asyncio.gather(_has_sent(there, blocks), _has_sent(here, blocks))
                for call in (there, here):
                    call.mute(StreamKind.AUDIO, muted)
            seen.left_out = max(call.stats().audio.left_out for call in (there, here))
            await there.hang_up()
            await here.wait_ended()
    datagrams, seen.segments = read_capture(folder / "lo.pcap")
    seen.datagrams = [packet for packet in datagrams if {packet.source, packet.destination} <= ports]


async def _has_sent(call: Call, blocks: int) -> None:
    await until(lambda: call.stats().audio.sent >= blocks, PATIENCE)


def _unprotected(sessions: list[pylibsrtp.Session], datagram: bytes) -> bytes:
    for session in sessions:
        try:
            return bytes(session.unprotect(datagram))
        except pylibsrtp.Error:
            continue
    raise AssertionError("a packet that neither end has sent")


def _opened(key: bytes, frames: list[bytes]) -> list[bytes] | None:
    opener = FrameOpener(0, key)
    try:
        return [opener.open(frame, now=0.0) for frame in frames]
    except FrameRejected:
        return None


def _without_header(frame: bytes) -> bytes:
    return frame[decode_header(frame).length :]


def _sound(payloads: list[bytes]) -> Samples:
    """What libopus makes of them, silence where it refuses."""
    decoder = OpusDecoder()
    blocks = []
    for payload in payloads:
        try:
            blocks.append(decoder.decode(payload))
        except CodecError:
            blocks.append(np.zeros(BLOCK_SAMPLES, np.int16))
    return np.concatenate(blocks)


def _frames(packets: list[RtpPacket]) -> list[bytes]:
    """The sealed pictures that a stream of packets carries."""
    buffer, counter = FrameBuffer(), SequenceCounter()
    frames = []
    for packet in packets:
        extended = counter.extend(packet.sequence_number)
        frames += buffer.push(extended, CODEC, packet.timestamp, bool(packet.marker), read_piece(packet.payload), 0.0)
    return [frame.data for frame in frames]


def _pictures(frames: list[bytes], codec: str) -> list[av.VideoFrame]:
    """What a decoder of FFmpeg makes of them, without any check of ours before it."""
    context = av.CodecContext.create(codec, "r")
    pictures: list[av.VideoFrame] = []
    for frame in frames:
        try:
            pictures += context.decode(av.Packet(frame))
        except FFmpegError:
            continue
    return pictures


PLAN_CHANGES = 2
"""How often sound may be sent in another way in the seconds of this test: once it is known that the path is good."""


def test_no_media_leaves_before_accept(observed: Observed) -> None:
    early = [datagram for datagram in observed.datagrams if datagram.at < observed.accepted_at]
    assert any(is_dtls(datagram.payload) for datagram in early)
    assert observed.accepted_at - observed.secured_at >= RINGING_SECONDS
    assert [datagram for datagram in early if is_media(datagram.payload)] == []
    assert len(observed.media()) > 4 * TALK / 2


def test_sound_has_one_size_and_one_beat_through_talk_silence_and_mute(observed: Observed) -> None:
    streams = observed.streams(PAYLOAD_TYPES[AudioFormat.OPUS])
    assert len(streams) == 2
    for packets in streams:
        assert len(packets) >= TALK + SILENCE + MUTED
        assert [decode_header(packet.payload).ctr for packet in packets] == list(range(len(packets)))
        # Also where SFrame's counter takes a byte more, at the 8th and the 256th packet. What the path has room for may
        # have changed the plan of sending meanwhile, which never has to do with what is said.
        sizes = [len(packet.payload) for packet in packets]
        assert sum(before != after for before, after in pairwise(sizes)) <= PLAN_CHANGES
        places = [(packet.timestamp - packets[0].timestamp) % (1 << 32) / BLOCK_SAMPLES for packet in packets]
        assert all(after - before >= 1 and after % 1 == 0 for before, after in pairwise(places))
        assert places[-1] - (len(places) - 1) <= observed.left_out
        sound = _sound(observed.opened([packet.payload for packet in packets])).astype(np.float64)
        blocks = dict(zip(places, sound.reshape(-1, BLOCK_SAMPLES), strict=True))
        talk, pause, muted = (
            float(np.sqrt(np.mean([blocks[at] ** 2 for at in range(begin, end) if at in blocks])))
            for begin, end in ((10, TALK - 10), (TALK + 20, TALK + SILENCE), (TALK + SILENCE, TALK + SILENCE + MUTED))
        )
        assert talk > 500
        assert max(pause, muted) < 5


def test_without_frame_keys_nothing_is_heard(observed: Observed) -> None:
    for packets in observed.streams(PAYLOAD_TYPES[AudioFormat.OPUS]):
        sealed = [packet.payload for packet in packets[:TALK]]
        for attempt in (sealed, [_without_header(frame) for frame in sealed]):
            noise = _sound(attempt)
            likeness, correlation = speech_likeness(observed.speech, noise), best_correlation(observed.speech, noise)
            print(f"sealed sound decoded: STOI {likeness:.2f}, correlation {correlation:.2f}")
            # Random bytes decoded reach a STOI of 0.1 to 0.4, speech of which a word can be made out 0.6.
            assert likeness < 0.55
            assert correlation < 0.2


def test_with_frame_keys_the_speech_is_heard(observed: Observed) -> None:
    for packets in observed.streams(PAYLOAD_TYPES[AudioFormat.OPUS]):
        sound = _sound(observed.opened([packet.payload for packet in packets])[:TALK])
        likeness, correlation = speech_likeness(observed.speech, sound), best_correlation(observed.speech, sound)
        print(f"opened sound decoded: STOI {likeness:.2f}, correlation {correlation:.2f}")
        assert likeness >= 0.9
        assert correlation >= 0.9


@pytest.mark.parametrize("codec", ["vp8", "libvpx", "vp9", "libvpx-vp9"])
def test_without_frame_keys_nothing_is_seen(observed: Observed, codec: str) -> None:
    for packets in observed.streams(PAYLOAD_TYPES[CODEC]):
        sealed = _frames(packets)
        sent = asyncio.run(cards(range(len(sealed))))
        for attempt in (sealed, [_without_header(frame) for frame in sealed]):
            pictures = _pictures(attempt, codec)
            print(f"sealed pictures decoded by {codec}: {len(pictures)} of {len(sealed)}")
            assert [picture for picture in pictures if _looks_like_one_of(picture, sent)] == []


def _looks_like_one_of(picture: av.VideoFrame, sent: dict[int, av.VideoFrame]) -> bool:
    shape = (picture.width, picture.height)
    return any(psnr(picture, card) > 15 for card in sent.values() if (card.width, card.height) == shape)


def test_with_frame_keys_the_picture_is_seen(observed: Observed) -> None:
    streams = observed.streams(PAYLOAD_TYPES[CODEC])
    assert len(streams) == 2
    for packets in streams:
        decoder = make_decoder(CODEC)
        pictures = [decoder.decode(frame) for frame in observed.opened(_frames(packets))]
        assert len(pictures) >= 15 * (TALK + SILENCE) // 50
        shown = {read_frame_number(picture): picture for picture in pictures if picture is not None}
        assert None not in shown
        sent = asyncio.run(cards(number for number in shown if number is not None))
        ratios = [psnr(picture, sent[number]) for number, picture in shown.items() if number is not None]
        print(f"opened pictures decoded: PSNR at least {min(ratios):.1f} dB")
        assert min(ratios) >= 30


def test_signalling_shows_envelopes_and_nothing_of_what_is_in_them(observed: Observed) -> None:
    everything, said = conversations(observed.segments, observed.server_port)
    letters = [message for message in said if message["type"] in ("send", "deliver")]
    assert {message["kind"] for message in letters} == {"ring", "signal", "accept", "end"}
    bodies = [base64.b64decode(message["body"]) for message in letters]
    visible = everything + b"".join(bodies)
    assert b"alice@" in everything
    assert not any(name in body for body in bodies for name in (b"alice", b"bob@"))
    lines = {line for description in observed.descriptions for line in description.split("\r\n") if len(line) >= 8}
    assert any(line.startswith("a=fingerprint:") for line in lines)
    assert any(line.startswith("a=candidate:") for line in lines)
    assert [line for line in lines if line.encode() in visible] == []
    for secret in (b"v=0\r\n", *(gap.join(observed.words).encode() for gap in (" ", "-", ",", '","'))):
        assert secret not in visible
    for key in (*observed.frame_keys, *(key for key, _ in observed.srtp_keys)):
        assert key not in visible
