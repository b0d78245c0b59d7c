"""Reading RTP, endless sequence numbers, repetitions."""

from __future__ import annotations

import aiortc.rtp
import pytest
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from hypothesis import given
from hypothesis import strategies as st

from entrenous.errors import RemoteProtocolError
from entrenous.media.rtp import (
    HEADER_LENGTH,
    MAX_PADDING,
    TRANSPORT_SEQUENCE_URI,
    RepetitionWindow,
    RtpPacket,
    SequenceCounter,
    is_rtcp,
    number_packet,
    original_of,
    read_rtp,
    retransmission_of,
    transport_sequence_of,
    write_padding,
    write_rtp,
)

sequences = st.integers(0, 0xFFFF)
words = st.integers(0, 0xFFFF_FFFF)

_EXTENSIONS = aiortc.rtp.HeaderExtensionsMap()
_EXTENSIONS.configure(
    RTCRtpParameters(headerExtensions=[RTCRtpHeaderExtensionParameters(id=3, uri=TRANSPORT_SEQUENCE_URI)])
)


@given(st.binary(max_size=200))
def test_reading_anything_yields_a_packet_or_a_remote_error(data: bytes) -> None:
    try:
        packet = read_rtp(data)
    except RemoteProtocolError:
        return
    assert 0 <= packet.sequence_number <= 0xFFFF


@given(st.integers(0, 127), st.integers(0, 1), sequences, words, words, sequences, st.binary(max_size=50))
def test_what_is_written_is_read(
    payload_type: int, marker: int, sequence: int, timestamp: int, ssrc: int, number: int, payload: bytes
) -> None:
    packet = write_rtp(payload_type, marker, sequence, timestamp, ssrc, payload)
    assert len(packet) == HEADER_LENGTH + len(payload)
    number_packet(packet, number)
    assert transport_sequence_of(packet) == number
    expected = RtpPacket(payload_type, marker, sequence, timestamp, ssrc, payload, number)
    assert read_rtp(bytes(packet)) == expected
    independent = aiortc.rtp.RtpPacket.parse(bytes(packet), _EXTENSIONS)
    assert (independent.payload_type, independent.marker, independent.sequence_number) == (
        payload_type,
        marker,
        sequence,
    )
    assert (independent.timestamp, independent.ssrc, independent.payload) == (timestamp, ssrc, payload)
    assert independent.extensions.transport_sequence_number == number


@given(
    st.integers(0, 15),
    st.integers(0, 30),
    st.binary(max_size=50),
    st.sampled_from([b"", b"\x10\x07\x31\x12\x34", b"\x31\x12\x34", b"\0\0\x51ab\x31\x12\x34", b"\xf0\x31\x12\x34"]),
)
def test_any_valid_shape_of_a_peer_is_read(sources: int, padding: int, payload: bytes, elements: bytes) -> None:
    first = 0x80 | sources | (0x20 if padding else 0) | (0x10 if elements else 0)
    data = bytes([first, 0x80 | 96]) + bytes(range(10)) + bytes(4 * sources)
    if elements:
        block = elements + bytes(-len(elements) % 4)
        data += b"\xbe\xde" + (len(block) // 4).to_bytes(2, "big") + block
    data += payload + (bytes(padding - 1) + bytes([padding]) if padding else b"")
    numbered = b"\x31\x12\x34" in elements and elements[0] != 0xF0
    assert read_rtp(data) == RtpPacket(96, 1, 0x0001, 0x02030405, 0x06070809, payload, 0x1234 if numbered else None)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(bytes(11), id="shorter than a header"),
        pytest.param(b"\x40" + bytes(20), id="another version"),
        pytest.param(b"\x8f" + bytes(40), id="without the sources it counts"),
        pytest.param(b"\x90" + bytes(11), id="without the extension it announces"),
        pytest.param(b"\x90" + bytes(11) + b"\xbe\xde\0\2" + bytes(4), id="an extension cut short"),
        pytest.param(b"\x90" + bytes(11) + b"\xbe\xde\0\1" + b"\x3f\0\0\0", id="an element beyond its block"),
        pytest.param(b"\x90" + bytes(11) + b"\xbe\xde\0\1" + b"\x30\0\0\0", id="a number of one byte"),
        pytest.param(b"\xa0" + bytes(12), id="padding of length nought"),
        pytest.param(b"\xa0" + bytes(11) + b"\x02", id="more padding than there is"),
    ],
)
def test_what_is_malformed_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read_rtp(data)


@pytest.mark.parametrize("size", [1, 2, MAX_PADDING])
def test_padding_carries_nothing(size: int) -> None:
    packet = write_padding(97, 5, 6, 7, size)
    assert len(packet) == HEADER_LENGTH + size
    assert read_rtp(bytes(packet)) == RtpPacket(97, 0, 5, 6, 7, b"", 0)
    assert original_of(read_rtp(bytes(packet)), ssrc=1, payload_type=96) is None


@given(st.integers(0, 1), sequences, words, st.binary(min_size=1, max_size=50))
def test_a_retransmission_carries_its_original(marker: int, sequence: int, timestamp: int, payload: bytes) -> None:
    original = write_rtp(96, marker, sequence, timestamp, 42, payload)
    number_packet(original, 17)
    repeated = read_rtp(bytes(retransmission_of(original, payload_type=97, sequence_number=5, ssrc=99)))
    assert (repeated.payload_type, repeated.sequence_number, repeated.ssrc) == (97, 5, 99)
    assert original_of(repeated, ssrc=42, payload_type=96) == RtpPacket(96, marker, sequence, timestamp, 42, payload)


@pytest.mark.parametrize(("second", "expected"), [(192, True), (200, True), (223, True), (111, False), (224, False)])
def test_rtcp_is_told_by_its_second_byte(second: int, expected: bool) -> None:
    assert is_rtcp(bytes([0x80, second, 0, 0])) is expected


def test_a_retransmission_gives_back_its_original() -> None:
    repair = RtpPacket(97, 1, 5, 1234, 99, b"\x01\x02payload")
    original = original_of(repair, ssrc=42, payload_type=96)
    assert original is not None
    assert (original.sequence_number, original.ssrc, original.payload_type) == (0x0102, 42, 96)
    assert (original.timestamp, original.marker, original.payload) == (1234, 1, b"payload")


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x01\x02"])
def test_a_retransmission_without_content_is_nothing(payload: bytes) -> None:
    assert original_of(RtpPacket(97, 0, 5, 0, 99, payload), ssrc=42, payload_type=96) is None


@given(st.integers(0, 0xFFFF), st.lists(st.integers(-1000, 1000), max_size=200))
def test_sequence_numbers_are_continued_across_wraps(first: int, steps: list[int]) -> None:
    counter = SequenceCounter()
    base = counter.extend(first)
    true = highest = base
    for step in steps:
        true = max(base - 30_000, min(highest + step, highest + 30_000))
        assert counter.extend(true & 0xFFFF) == true
        highest = max(highest, true)
    assert counter.highest == highest


@given(st.lists(st.integers(0, 300), max_size=300))
def test_each_number_is_new_once(numbers: list[int]) -> None:
    window = RepetitionWindow()
    seen: set[int] = set()
    for number in numbers:
        assert window.is_new(number) is (number not in seen)
        seen.add(number)


def test_what_is_behind_the_window_counts_as_a_repetition() -> None:
    window = RepetitionWindow(size=8)
    assert window.is_new(100)
    assert window.is_new(93)
    assert not window.is_new(92)
    assert window.is_new(1000)
    assert not window.is_new(100)
