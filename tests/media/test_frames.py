"""Frames come out whole, in order and once, whatever the network did to their packets."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from entrenous.media.codecs.base import VideoCodec
from entrenous.media.frames import MAX_PACKETS, Frame, FrameBuffer
from entrenous.media.payload import MAX_PAYLOAD, Piece, packetise, read_piece

Packet = tuple[int, VideoCodec, int, bool, Piece]


def packets_of(frames: list[bytes], first: int = 1000) -> list[Packet]:
    packets: list[Packet] = []
    for number, frame in enumerate(frames):
        payloads = packetise(frame, number)
        for at, payload in enumerate(payloads, start=1):
            packets.append(
                (first + len(packets), VideoCodec.VP8, number * 3000, at == len(payloads), read_piece(payload))
            )
    return packets


def push(buffer: FrameBuffer, packet: Packet, at: float = 0.0) -> list[Frame]:
    return buffer.push(*packet, at)


SIZES = st.integers(1, 5 * MAX_PAYLOAD)
FRAMES = st.lists(
    st.builds(lambda size, seed: random.Random(seed).randbytes(size), SIZES, st.integers(0, 255)),
    min_size=1,
    max_size=12,
)


@given(FRAMES, st.randoms(use_true_random=False))
def test_reordering_and_repetition_change_nothing(frames: list[bytes], chance: random.Random) -> None:
    packets = packets_of(frames)
    # The stream has begun: what comes before the first packet seen cannot be known to be missing.
    arrivals = packets[1:] + packets[: len(packets) // 2]
    chance.shuffle(arrivals)
    buffer = FrameBuffer()
    out = push(buffer, packets[0])
    for packet in arrivals:
        out += push(buffer, packet)
    assert [frame.data for frame in out] == frames
    assert not any(frame.follows_gap for frame in out)
    assert len(buffer) == 0


@given(FRAMES, st.sets(st.integers(0, 60)))
def test_after_losses_the_whole_frames_come_out_once_they_are_given_up(frames: list[bytes], lost: set[int]) -> None:
    packets = packets_of([b"begin", *frames])
    lost = {1 + at % len(packets) for at in lost} - {0}
    buffer = FrameBuffer()
    out: list[Frame] = []
    for at, packet in enumerate(packets):
        if at not in lost:
            out += push(buffer, packet)
    out += [frame for at in sorted(lost) if at < len(packets) for frame in buffer.skip(packets[at][0] + 1)]
    damaged = {packets[at][2] for at in lost if at < len(packets)}
    whole = [frame for number, frame in enumerate([b"begin", *frames]) if number * 3000 not in damaged]
    assert [frame.data for frame in out] == whole


def test_a_frame_after_a_gap_says_so() -> None:
    packets = packets_of([b"one", b"two", b"three", b"four"])
    buffer = FrameBuffer()
    assert [frame.data for frame in push(buffer, packets[0])] == [b"one"]
    assert push(buffer, packets[2]) == []
    (frame,) = buffer.skip(packets[2][0])
    assert (frame.data, frame.follows_gap) == (b"three", True)
    (frame,) = push(buffer, packets[3])
    assert (frame.data, frame.follows_gap) == (b"four", False)


def test_a_stream_may_turn_out_to_begin_earlier() -> None:
    packets = packets_of([b"a" * 1500, b"two"])
    buffer = FrameBuffer()
    assert push(buffer, packets[1]) == []
    out = push(buffer, packets[0])
    assert [frame.data for frame in out] == [b"a" * 1500]


def test_the_rest_of_a_frame_whose_beginning_was_never_seen_is_left_out() -> None:
    packets = packets_of([b"a" * 1500, b"two"])
    buffer = FrameBuffer()
    assert push(buffer, packets[1]) == []
    (frame,) = push(buffer, packets[2])
    assert (frame.data, frame.follows_gap) == (b"two", True)


def test_a_frame_without_an_end_does_not_block_the_next_one() -> None:
    buffer = FrameBuffer()
    assert buffer.push(1, VideoCodec.VP9, 0, False, Piece(True, 1, b"endless"), 0.0) == []
    (frame,) = buffer.push(2, VideoCodec.H264, 3000, True, Piece(True, 2, b"next"), 0.0)
    assert (frame.data, frame.codec, frame.follows_gap) == (b"next", VideoCodec.H264, True)


def test_the_arrival_of_a_frame_is_that_of_its_last_missing_packet() -> None:
    packets = packets_of([b"a" * 2500])
    buffer = FrameBuffer()
    push(buffer, packets[0], 1.0)
    push(buffer, packets[2], 2.0)
    (frame,) = push(buffer, packets[1], 3.0)
    assert frame.arrived_at == 3.0


def test_a_flood_without_ends_stays_within_bounds() -> None:
    buffer = FrameBuffer()
    for sequence in range(0, 4 * MAX_PACKETS, 2):
        buffer.push(sequence, VideoCodec.VP8, sequence, False, Piece(True, None, b"x"), 0.0)
        assert len(buffer) <= MAX_PACKETS


def test_what_a_flood_completes_is_not_lost() -> None:
    buffer = FrameBuffer()
    assert len(buffer.push(0, VideoCodec.VP8, 0, True, Piece(True, None, b"first"), 0.0)) == 1
    for sequence in range(2, 2 + MAX_PACKETS):  # behind the missing one, a packet each
        assert buffer.push(sequence, VideoCodec.VP8, sequence, True, Piece(True, None, b"x"), 0.0) == []
    out = buffer.push(2 + MAX_PACKETS, VideoCodec.VP8, 2 + MAX_PACKETS, True, Piece(True, None, b"x"), 0.0)
    assert len(out) == MAX_PACKETS
    assert out[0].follows_gap
    assert len(buffer) == 0
