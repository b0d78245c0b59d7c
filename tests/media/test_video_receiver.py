"""Pictures that arrive: put together, repaired, decoded, shown; what does not open is never decoded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import av
import pytest

from entrenous.crypto.sframe import FrameOpener, FrameSealer
from entrenous.errors import CodecError, RemoteProtocolError
from entrenous.media.clocksync import PlayoutClock
from entrenous.media.codec_thread import CodecThread
from entrenous.media.codecs.base import VideoCodec
from entrenous.media.identities import StreamIdentity
from entrenous.media.payload import packetise
from entrenous.media.rtp import RtpPacket
from entrenous.media.streams import StreamKind
from entrenous.media.video_receiver import MAX_UNDECODED, REJECTIONS_BEFORE_REQUEST, REQUEST_INTERVAL, VideoReceiver
from lab.calls import until

KEY, OTHER_KEY = bytes(32), bytes(range(32))


class LetterDecoder:
    """Stands for a codec: the picture is so wide as the frame is long; `!` is damage."""

    def __init__(self, codec: VideoCodec, decoded: list[bytes]) -> None:
        self.codec = codec
        self.decoded = decoded
        self.closed = False

    def decode(self, data: bytes) -> av.VideoFrame | None:
        if data.endswith(b"!"):
            raise CodecError("damaged")
        self.decoded.append(data)
        return av.VideoFrame(len(data), 2, "yuv420p")

    def close(self) -> None:
        self.closed = True


class PictureBench:
    """Frames begin with a byte that tells key frames: 0 is one, 1 is none."""

    def __init__(self, thread: CodecThread, hold: float = 0.1) -> None:
        self.sealer, self.forger = FrameSealer(0, KEY), FrameSealer(0, OTHER_KEY)
        self.decoders: list[LetterDecoder] = []
        self.decoded: list[bytes] = []
        self.shown: list[tuple[av.VideoFrame, float]] = []
        self.first: list[float] = []
        self.nacks: list[list[int]] = []
        self.key_frame_requests = 0
        self.receiver = VideoReceiver(
            StreamKind.SCREEN,
            StreamIdentity(2, {VideoCodec.VP8: 96, VideoCodec.VP9: 98}),
            FrameOpener(0, KEY),
            self._make_decoder,
            lambda codec, data: data[0] == 0,
            PlayoutClock(),
            hold,
            thread,
            lambda frame, at: self.shown.append((frame, at)),
            self.first.append,
            lambda: None,
            self.nacks.append,
            self._request,
        )
        self.task = asyncio.create_task(self.receiver.run())
        self.sequence = 0
        self.frame_number = 0

    def _make_decoder(self, codec: VideoCodec) -> LetterDecoder:
        self.decoders.append(LetterDecoder(codec, self.decoded))
        return self.decoders[-1]

    def _request(self) -> None:
        self.key_frame_requests += 1

    def packets(self, frame: bytes, sealer: FrameSealer | None = None, *, payload_type: int = 96) -> list[RtpPacket]:
        payloads = packetise((sealer or self.sealer).seal(frame), self.frame_number % 32768)
        packets = []
        for at, payload in enumerate(payloads, start=1):
            marker = int(at == len(payloads))
            packets.append(RtpPacket(payload_type, marker, self.sequence, self.frame_number * 3000, 2, payload))
            self.sequence += 1
        self.frame_number += 1
        return packets

    def arrive(self, packets: list[RtpPacket], *, repair: bool = False) -> None:
        for packet in packets:
            self.receiver.receive(packet, 12 + len(packet.payload), time.monotonic(), repair=repair)


@asynccontextmanager
async def one_thread() -> AsyncIterator[CodecThread]:
    thread = CodecThread("decode")
    try:
        yield thread
    finally:
        await thread.close(lambda: None)


async def stop(bench: PictureBench) -> None:
    bench.task.cancel()
    await asyncio.wait({bench.task})


async def test_pictures_are_decoded_in_order_and_shown() -> None:
    async with one_thread() as thread:
        bench = PictureBench(thread)
        for frame in (b"\x00key", b"\x01a", b"\x01bb"):
            bench.arrive(bench.packets(frame))
        await until(lambda: len(bench.shown) == 3)
        assert bench.decoded == [b"\x00key", b"\x01a", b"\x01bb"]
        assert bench.first == [bench.shown[0][1]]
        assert (bench.receiver.size, bench.receiver.key_frames) == ((3, 2), 1)
        assert bench.nacks == []
        await stop(bench)


async def test_while_nothing_is_shown_nothing_is_decoded_and_a_key_frame_begins_anew() -> None:
    async with one_thread() as thread:
        bench = PictureBench(thread)
        bench.arrive(bench.packets(b"\x00key"))
        await until(lambda: len(bench.shown) == 1)
        bench.receiver.ignore(True)
        bench.arrive(bench.packets(b"\x01unseen"))
        bench.arrive(bench.packets(b"\x00unseen"))
        assert (bench.receiver.ignored, bench.key_frame_requests) == (2, 0)
        bench.receiver.ignore(True)
        bench.receiver.ignore(False)
        assert bench.key_frame_requests == 1
        bench.arrive(bench.packets(b"\x01early"))
        bench.arrive(bench.packets(b"\x00again"))
        await until(lambda: len(bench.shown) == 2)
        assert bench.decoded == [b"\x00key", b"\x00again"]
        assert bench.receiver.freezes == 0
        await stop(bench)


async def test_what_comes_late_of_a_stream_that_is_off_is_not_decoded_and_not_asked_for() -> None:
    async with one_thread() as thread:
        bench = PictureBench(thread, hold=0.2)
        bench.arrive(bench.packets(b"\x00key"))
        await until(lambda: len(bench.shown) == 1)
        bench.receiver.expect(False)
        bench.packets(b"\x01lost")
        bench.arrive(bench.packets(b"\x01late"))
        await until(lambda: bench.receiver.ignored == 1)
        bench.arrive(bench.packets(b"\x01later"))
        assert bench.receiver.ignored == 2
        assert (bench.nacks, bench.key_frame_requests, bench.decoded) == ([], 0, [b"\x00key"])
        bench.receiver.expect(True)
        assert bench.key_frame_requests == 0, "a stream begins with one by itself"
        bench.arrive(bench.packets(b"\x01and that was lost"))
        assert bench.key_frame_requests == 1
        bench.arrive(bench.packets(b"\x00again"))
        await until(lambda: len(bench.shown) == 2)
        assert bench.decoded == [b"\x00key", b"\x00again"]
        assert bench.receiver.freezes == 0
        await stop(bench)


async def test_a_key_frame_shows_that_a_stream_is_on_before_word_of_it_has_come() -> None:
    async with one_thread() as thread:
        bench = PictureBench(thread)
        bench.receiver.expect(False)
        for frame in (b"\x01late", b"\x00begins", b"\x01goes on"):
            bench.arrive(bench.packets(frame))
        await until(lambda: len(bench.shown) == 2)
        assert bench.decoded == [b"\x00begins", b"\x01goes on"]
        bench.receiver.ignore(True)
        bench.receiver.expect(False)
        bench.arrive(bench.packets(b"\x00while we hold the call"))
        assert bench.receiver.ignored == 2
        await stop(bench)


@pytest.mark.parametrize("stops", [lambda it: it.ignore(True), lambda it: it.expect(False)])
async def test_what_was_left_out_while_it_waited_for_the_decoder_is_not_built_upon(
    stops: Callable[[VideoReceiver], None],
) -> None:
    async with one_thread() as thread:
        bench = PictureBench(thread)
        bench.arrive(bench.packets(b"\x00waits"))
        stops(bench.receiver)
        bench.receiver.ignore(False)
        bench.receiver.expect(True)
        bench.arrive(bench.packets(b"\x01in vain"))
        assert bench.key_frame_requests == 1
        bench.arrive(bench.packets(b"\x00again"))
        await until(lambda: len(bench.shown) == 1)
        assert bench.decoded == [b"\x00again"]
        await stop(bench)


async def test_where_nothing_came_meanwhile_no_key_frame_is_asked_for() -> None:
    async with one_thread() as thread:
        bench = PictureBench(thread)
        bench.receiver.ignore(True)
        bench.receiver.ignore(False)
        assert bench.key_frame_requests == 0
        await stop(bench)


async def test_a_lost_packet_is_asked_for_and_its_repair_completes_the_frame() -> None:
    async with one_thread() as thread:
        bench = PictureBench(thread, hold=5.0)
        bench.arrive(bench.packets(b"\x00" + bytes(3000)))
        lost = bench.packets(b"\x01" + bytes(3000))
        bench.arrive([lost[0], *lost[2:]])
        bench.arrive(bench.packets(b"\x01after"))
        await until(lambda: bool(bench.nacks))
        asked = bench.nacks[0]
        assert [sequence & 0xFFFF for sequence in asked] == [lost[1].sequence_number]
        await until(lambda: len(bench.nacks) >= 2)  # and again until it is here
        bench.arrive([lost[1]], repair=True)
        await until(lambda: len(bench.shown) == 3)
        assert (bench.receiver.repaired, bench.receiver.reception.lost) == (1, 1)
        assert bench.key_frame_requests == 0
        bench.arrive([lost[1]], repair=True)
        assert bench.receiver.repaired == 1
        await stop(bench)


async def test_what_stays_lost_is_given_up_for_a_key_frame() -> None:
    async with one_thread() as thread:
        bench = PictureBench(thread, hold=0.05)
        bench.arrive(bench.packets(b"\x00key"))
        bench.packets(b"\x01lost")
        bench.arrive(bench.packets(b"\x01useless"))
        await until(lambda: bench.key_frame_requests == 1)
        bench.arrive(bench.packets(b"\x01useless too"))
        bench.arrive(bench.packets(b"\x00key again"))
        bench.arrive(bench.packets(b"\x01on"))
        await until(lambda: len(bench.shown) == 3)
        assert bench.decoded == [b"\x00key", b"\x00key again", b"\x01on"]
        assert bench.receiver.dropped == 2
        assert bench.key_frame_requests == 1  # once a second
        await stop(bench)


async def test_a_stream_that_begins_without_a_key_frame_asks_for_one() -> None:
    async with one_thread() as thread:
        bench = PictureBench(thread)
        bench.arrive(bench.packets(b"\x01middle"))
        assert bench.key_frame_requests == 1
        assert bench.decoded == []
        await stop(bench)


async def test_with_a_wrong_key_nothing_is_decoded_and_a_key_frame_is_asked_for() -> None:
    async with one_thread() as thread:
        bench = PictureBench(thread)
        for number in range(REJECTIONS_BEFORE_REQUEST + 5):
            bench.arrive(bench.packets(b"\x00key", bench.forger))
            assert bench.key_frame_requests == (number + 1 >= REJECTIONS_BEFORE_REQUEST)
        assert bench.receiver.rejected == REJECTIONS_BEFORE_REQUEST + 5
        bench.arrive(bench.packets(b"\x01after a forgery"))
        bench.arrive(bench.packets(b"\x00key"))
        await until(lambda: len(bench.shown) == 1)
        assert bench.decoded == [b"\x00key"]
        await stop(bench)


async def test_damage_asks_for_a_key_frame_and_goes_on_there() -> None:
    async with one_thread() as thread:
        bench = PictureBench(thread)
        bench.arrive(bench.packets(b"\x00key"))
        bench.arrive(bench.packets(b"\x01!"))
        await until(lambda: bench.key_frame_requests == 1)
        bench.packets(b"\x01lost")
        bench.arrive(bench.packets(b"\x01useless"))
        bench.arrive(bench.packets(b"\x00key"))
        await until(lambda: len(bench.shown) == 2)
        assert bench.decoded == [b"\x00key", b"\x00key"]
        await stop(bench)


async def test_a_decoder_that_is_behind_does_not_pile_up_pictures() -> None:
    async with one_thread() as thread:
        bench = PictureBench(thread)
        thread.do(time.sleep, 0.1)
        for number in range(3 * MAX_UNDECODED):
            bench.arrive(bench.packets(b"\x00key" if number == 0 else b"\x01delta"))
            assert len(bench.receiver._undecoded) <= MAX_UNDECODED
        assert bench.key_frame_requests == 1
        assert bench.receiver.dropped > MAX_UNDECODED
        await stop(bench)


async def test_a_pause_counts_as_a_freeze(monkeypatch: pytest.MonkeyPatch) -> None:
    async with one_thread() as thread:
        bench = PictureBench(thread)
        bench.arrive(bench.packets(b"\x00key"))
        await until(lambda: len(bench.shown) == 1)
        assert bench.receiver._shown_at is not None
        bench.receiver._shown_at -= 0.4
        bench.arrive(bench.packets(b"\x01late"))
        await until(lambda: len(bench.shown) == 2)
        assert bench.receiver.freezes == 1
        assert 0.4 <= bench.receiver.frozen_seconds < 5.0
        await stop(bench)


async def test_another_codec_takes_another_decoder_from_a_key_frame_on() -> None:
    async with one_thread() as thread:
        bench = PictureBench(thread)
        bench.arrive(bench.packets(b"\x00one"))
        bench.arrive(bench.packets(b"\x00two", payload_type=98))
        bench.arrive(bench.packets(b"\x01three", payload_type=98))
        await until(lambda: len(bench.shown) == 3)
        assert [decoder.codec for decoder in bench.decoders] == [VideoCodec.VP8, VideoCodec.VP9]
        assert [decoder.closed for decoder in bench.decoders] == [True, False]
        assert bench.receiver.codec is VideoCodec.VP9
        await stop(bench)
        bench.receiver.close_decoder()
        assert bench.decoders[1].closed


async def test_a_key_frame_is_asked_for_again_when_none_comes() -> None:
    async with one_thread() as thread:
        bench = PictureBench(thread)
        bench.arrive(bench.packets(b"\x01middle"))
        bench.arrive(bench.packets(b"\x01middle"))
        assert bench.key_frame_requests == 1
        bench.receiver._requested_at -= REQUEST_INTERVAL
        bench.arrive(bench.packets(b"\x01middle"))
        assert bench.key_frame_requests == 2
        await stop(bench)


@pytest.mark.parametrize("payload_type", [97, 0])
async def test_an_unknown_payload_type_is_the_peers_mistake(payload_type: int) -> None:
    async with one_thread() as thread:
        bench = PictureBench(thread)
        with pytest.raises(RemoteProtocolError):
            bench.arrive(bench.packets(b"\x00key", payload_type=payload_type))
        assert bench.receiver.reception.received == 0
        await stop(bench)


async def test_a_sender_that_paused_is_no_freeze() -> None:
    async with one_thread() as thread:
        bench = PictureBench(thread)
        bench.arrive(bench.packets(b"\x00key"))
        await until(lambda: len(bench.shown) == 1)
        assert bench.receiver._shown_at is not None
        bench.receiver._shown_at -= 5.0
        bench.arrive(bench.packets(b"\x00unmuted"))
        await until(lambda: len(bench.shown) == 2)
        assert bench.receiver.freezes == 0
        await stop(bench)


async def test_a_malformed_payload_is_the_peers_mistake() -> None:
    async with one_thread() as thread:
        bench = PictureBench(thread)
        with pytest.raises(RemoteProtocolError):
            bench.arrive([RtpPacket(96, 1, 0, 0, 2, b"\x90")])
        await stop(bench)
