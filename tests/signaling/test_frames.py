"""Frames as RFC 6455 has them: what is understood, in whatever pieces it comes, and what is refused."""

from __future__ import annotations

import asyncio
import os
from itertools import pairwise

import pytest
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_websocket import WebSocketReader
from hypothesis import given
from hypothesis import strategies as st

from entrenous_signaling.frames import (
    MOST_PIECES,
    Fault,
    FrameError,
    FrameReader,
    Opcode,
    answer_to_close,
    close_frame,
    control_frame,
    text_header,
)

LARGEST = 1000
FINAL = 0x80
TEXT, BINARY, PING, PONG, CLOSE = Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG, Opcode.CLOSE

Said = list[tuple[Opcode, bytes]]


def frame(first: int, payload: bytes = b"", mask: bytes = b"\x37\xfa\x21\x3d") -> bytes:
    """A frame of a client, with the length in as few bytes as go."""
    size = len(payload)
    if size < 126:
        head = bytes([first, 0x80 | size])
    elif size < 65_536:
        head = bytes([first, 0xFE]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, 0xFF]) + size.to_bytes(8, "big")
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def read(*reads: bytes, largest: int = LARGEST) -> Said:
    reader = FrameReader(largest)
    return [said for data in reads for said in reader.read(data)]


def fault(*reads: bytes, largest: int = LARGEST) -> Fault:
    with pytest.raises(FrameError) as failed:
        read(*reads, largest=largest)
    return failed.value.fault


# --- what is understood ---


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 125, 126, 127, 999, 1000])
def test_a_message_of_every_length(size: int) -> None:
    payload = os.urandom(size)
    assert read(frame(FINAL | TEXT, payload)) == [(TEXT, payload)]
    assert read(frame(FINAL | BINARY, payload)) == [(BINARY, payload)]


def test_lengths_in_eight_bytes() -> None:
    for size in (65_535, 65_536, 100_000):
        payload = os.urandom(size)
        assert read(frame(FINAL | TEXT, payload), largest=100_000) == [(TEXT, payload)]


def test_the_example_of_the_rfc() -> None:
    assert read(bytes.fromhex("818537fa213d7f9f4d5158")) == [(TEXT, b"Hello")]


def test_several_in_one_read_and_control_frames_between_the_pieces_of_a_message() -> None:
    said = (
        frame(TEXT, b"a")
        + frame(FINAL | PING, b"p")
        + frame(0, b"")
        + frame(FINAL | PONG)
        + frame(FINAL, b"b")
        + frame(FINAL | TEXT, b"c")
        + frame(FINAL | CLOSE, b"\x03\xe8")
    )
    whole = [(PING, b"p"), (PONG, b""), (TEXT, b"ab"), (TEXT, b"c"), (CLOSE, b"\x03\xe8")]
    assert read(said) == whole
    assert read(*(said[at : at + 1] for at in range(len(said)))) == whole


def test_a_message_of_as_many_pieces_as_may_be_is_as_long_as_one_may_be() -> None:
    pieces = [frame(BINARY, b"x"), *([frame(0)] * (MOST_PIECES - 2)), frame(FINAL, b"y" * (LARGEST - 1))]
    assert read(*pieces) == [(BINARY, b"x" + b"y" * (LARGEST - 1))]
    assert read(*pieces, *pieces) == 2 * read(*pieces), "the next message has its own share"


def test_nothing_is_kept_of_what_was_understood() -> None:
    reader = FrameReader(LARGEST)
    for data in (frame(FINAL | TEXT, b"whole"), frame(TEXT, b"pie"), frame(FINAL, b"ce"), b"\x81", b"\x80" + bytes(4)):
        list(reader.read(data))
    assert reader._held is reader._said is reader._opcode is None


# --- what is not ---


@pytest.mark.parametrize("first", [*range(0x83, 0x88), *range(0x8B, 0x90)])
def test_unknown_opcodes(first: int) -> None:
    assert fault(frame(first)) is Fault.PROTOCOL


@pytest.mark.parametrize("opcode", Opcode)
@pytest.mark.parametrize("reserved", [0x40, 0x20, 0x10, 0x70])
def test_reserved_bits(opcode: Opcode, reserved: int) -> None:
    assert fault(frame(FINAL | reserved | opcode)) is Fault.PROTOCOL


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_control_frames_are_whole_and_short(opcode: Opcode) -> None:
    assert fault(frame(opcode)) is Fault.PROTOCOL
    assert fault(frame(FINAL | opcode, bytes(126))[:8]) is Fault.PROTOCOL
    assert read(frame(FINAL | opcode, bytes(125))) == [(opcode, bytes(125))]


@pytest.mark.parametrize("size", [0, 5, 125, 126, 65_536])
def test_frames_without_a_mask(size: int) -> None:
    assert fault(text_header(size) + bytes(size + 6)) is Fault.PROTOCOL


@pytest.mark.parametrize("head", ["81fe007d", "81fe0000", "81ff000000000000ffff", "81ff0000000000000001"])
def test_lengths_that_are_said_in_more_bytes_than_it_takes(head: str) -> None:
    assert fault(bytes.fromhex(head) + bytes(4)) is Fault.PROTOCOL


def test_pieces_out_of_order() -> None:
    assert fault(frame(FINAL, b"goes on")) is Fault.PROTOCOL
    assert fault(frame(0, b"goes on")) is Fault.PROTOCOL
    for again in (TEXT, BINARY, FINAL | TEXT, FINAL | BINARY):
        assert fault(frame(TEXT), frame(again)) is Fault.PROTOCOL
    assert fault(frame(TEXT), frame(FINAL), frame(FINAL)) is Fault.PROTOCOL


def test_what_is_too_big_is_refused_before_it_comes() -> None:
    assert fault(frame(FINAL | TEXT, bytes(LARGEST + 1))[:8]) is Fault.TOO_BIG
    assert fault(bytes.fromhex("82ff7fffffffffffffff00000000")) is Fault.TOO_BIG
    assert fault(bytes.fromhex("81ffffffffffffffffff00000000")) is Fault.TOO_BIG
    assert fault(frame(TEXT, bytes(600)), frame(0, bytes(401))[:8]) is Fault.TOO_BIG


def test_a_message_in_countless_pieces() -> None:
    assert fault(frame(TEXT), *([frame(0)] * MOST_PIECES)) is Fault.TOO_BIG


def test_what_came_before_the_fault_is_understood() -> None:
    reading = FrameReader(LARGEST).read(frame(FINAL | TEXT, b"a") + frame(0x83))
    assert next(reading) == (TEXT, b"a")
    with pytest.raises(FrameError):
        next(reading)


# --- whatever comes, in whatever pieces ---

FRAMES = st.builds(
    frame,
    st.sampled_from([0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8A, 0x88]) | st.integers(0, 255),
    st.binary(max_size=300),
    st.binary(min_size=4, max_size=4),
)
STREAMS = st.lists(FRAMES | st.binary(max_size=8), max_size=12).map(b"".join)


def all_said(reads: list[bytes]) -> tuple[Said, Fault | None]:
    """What was understood, and how it ended."""
    said: Said = []
    reader = FrameReader(LARGEST)
    try:
        for data in reads:
            said.extend(reader.read(data))
    except FrameError as error:
        return said, error.fault
    return said, None


class Collected(WebSocketDataQueue):  # type: ignore[misc]  # compiled, and without types
    """What aiohttp's reader makes of it."""

    def __init__(self, said: Said) -> None:
        loop = asyncio.new_event_loop()
        super().__init__(BaseProtocol(loop), 2**16, loop=loop)
        loop.close()
        self.said = said

    def feed_data(self, message: object, size: int) -> None:
        kind, data, _ = message  # type: ignore[misc]  # a tuple
        self.said.append((Opcode(kind), bytes(data) if kind is not CLOSE else b""))


def said_to_aiohttp(data: bytes) -> tuple[Said, bool]:
    """The same from aiohttp, and whether it ended there."""
    said: Said = []
    reader = WebSocketReader(Collected(said), LARGEST + 1, compress=False, decode_text=False)
    failed, _ = reader.feed_data(data)
    return said, failed


@given(STREAMS, st.lists(st.integers(0, 2000), max_size=8))
def test_how_it_is_cut_into_reads_makes_no_difference(stream: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[begin:end] for begin, end in pairwise(edges)]
    assert all_said(pieces) == all_said([stream])


@given(STREAMS)
def test_what_we_understand_aiohttp_understands_too(stream: bytes) -> None:
    reader, ours, ended = FrameReader(LARGEST), [], False
    try:
        ours.extend((opcode, b"" if opcode is CLOSE else data) for opcode, data in reader.read(stream))
    except FrameError:
        ended = True
    theirs, they_ended = said_to_aiohttp(stream)
    if not they_ended:  # what has no mask is taken there, and lengths in too many bytes
        assert ours == theirs[: len(ours)]
    if not ended and reader._held is None and (CLOSE, b"") not in ours:  # a close is looked into there
        assert (ours, False) == (theirs, they_ended)


# --- what the server says ---


@pytest.mark.parametrize(
    ("size", "header"),
    [(0, "8100"), (125, "817d"), (126, "817e007e"), (65_535, "817effff"), (65_536, "817f0000000000010000")],
)
def test_frames_of_every_length_have_the_header_of_rfc_6455(size: int, header: str) -> None:
    assert text_header(size) == bytes.fromhex(header)


def test_control_frames_that_are_said() -> None:
    assert control_frame(PING) == b"\x89\x00"
    assert control_frame(PONG, b"abc") == b"\x8a\x03abc"
    assert close_frame(1012, b"why") == b"\x88\x05\x03\xf4why"


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1011, 3000, 4999])
def test_a_goodbye_is_answered_with_its_code(code: int) -> None:
    assert answer_to_close(code.to_bytes(2, "big") + "bye…".encode()) == close_frame(code)
    assert answer_to_close(b"") == b"\x88\x00"


@pytest.mark.parametrize("said", [b"\x03", b"\x00\x00", *(code.to_bytes(2, "big") for code in (999, 1004, 1005, 1006))])
def test_a_goodbye_that_none_may_say_is_answered_so(said: bytes) -> None:
    assert answer_to_close(said) == close_frame(1002)
    assert answer_to_close(b"\x03\xe8\xff") == close_frame(1002), "a reason that is no UTF-8"
    for code in (1015, 1016, 2999, 5000, 65_535):
        assert answer_to_close(code.to_bytes(2, "big")) == close_frame(1002)
