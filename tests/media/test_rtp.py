"""Reading RTP, endless sequence numbers, repetitions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.errors import RemoteProtocolError
from entrenous.media.rtp import RepetitionWindow, RtpPacket, SequenceCounter, is_rtcp, original_of, read_rtp


@given(st.binary(max_size=200))
def test_reading_anything_yields_a_packet_or_a_remote_error(data: bytes) -> None:
    try:
        packet = read_rtp(data)
    except RemoteProtocolError:
        return
    assert 0 <= packet.sequence_number <= 0xFFFF


@given(st.integers(0, 127), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF), st.binary(max_size=50))
def test_what_is_written_is_read(payload_type: int, sequence: int, timestamp: int, payload: bytes) -> None:
    packet = RtpPacket(payload_type, 1, sequence, timestamp, 7, payload)
    read = read_rtp(packet.serialize())
    assert (read.payload_type, read.marker, read.sequence_number) == (payload_type, 1, sequence)
    assert (read.timestamp, read.ssrc, read.payload) == (timestamp, 7, payload)


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
