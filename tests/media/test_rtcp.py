"""RTCP in and out."""

from __future__ import annotations

import pytest
from aiortc.rtp import RtcpPsfbPacket, RtcpReceiverInfo, RtcpRrPacket, RtcpSenderInfo, RtcpSrPacket
from hypothesis import given
from hypothesis import strategies as st

from entrenous.errors import RemoteProtocolError
from entrenous.media import rtcp
from entrenous.media.feedback import TransportFeedback, write_feedback


@given(st.binary(max_size=300))
def test_reading_anything_yields_packets_or_a_remote_error(data: bytes) -> None:
    try:
        packets = rtcp.read_rtcp(data)
    except RemoteProtocolError:
        return
    for packet in packets:
        rtcp.reports_in(packet)
        assert all(0 <= sequence <= 0xFFFF for sequence in rtcp.nacked(packet, 1))
        rtcp.asks_for_key_frame(packet, 1)


@given(
    st.integers(200, 206), st.integers(0, 31), st.binary(max_size=100).map(lambda data: data + bytes(-len(data) % 4))
)
def test_reading_any_body_under_a_valid_header(kind: int, count: int, body: bytes) -> None:
    data = bytes([0x80 | count, kind]) + (len(body) // 4).to_bytes(2, "big") + body
    try:
        rtcp.read_rtcp(data)
    except RemoteProtocolError:
        return


def test_an_overlong_packet_is_refused_unread() -> None:
    with pytest.raises(RemoteProtocolError):
        rtcp.read_rtcp(bytes(rtcp.MAX_LENGTH + 1))


@given(st.sets(st.integers(60_000, 70_000), min_size=1, max_size=60))
def test_a_nack_names_what_is_missing_also_where_numbers_wrap(missing: set[int]) -> None:
    packets = rtcp.read_rtcp(rtcp.nack_request(1, 2, sorted(missing)))
    named = [sequence for packet in packets for sequence in rtcp.nacked(packet, 2)]
    assert sorted(named) == sorted(sequence & 0xFFFF for sequence in missing)
    assert not any(rtcp.nacked(packet, 3) for packet in packets)


def test_key_frame_requests_are_told_by_their_stream() -> None:
    (pli,) = rtcp.read_rtcp(rtcp.key_frame_request(1, 2))
    assert rtcp.asks_for_key_frame(pli, 2)
    assert not rtcp.asks_for_key_frame(pli, 3)
    (fir,) = rtcp.read_rtcp(bytes(RtcpPsfbPacket(4, 1, 0, (2).to_bytes(4, "big") + b"\x01\x00\x00\x00")))
    assert rtcp.asks_for_key_frame(fir, 2)
    assert not rtcp.asks_for_key_frame(fir, 3)


def test_reports_are_found_in_both_kinds() -> None:
    block = RtcpReceiverInfo(5, 1, 2, 3, 4, 5, 6)
    sender = RtcpSrPacket(1, RtcpSenderInfo(1, 2, 3, 4), [block])
    packets = rtcp.read_rtcp(bytes(sender) + bytes(RtcpRrPacket(1, [block])))
    assert [rtcp.reports_in(packet) for packet in packets] == [[block], [block]]


def test_the_round_trip_is_what_passed_without_the_delay_at_the_far_end() -> None:
    clock = rtcp.ReportClock()
    lsr = (clock.ntp(10.0) >> 16) & 0xFFFF_FFFF
    block = RtcpReceiverInfo(1, 0, 0, 0, 0, lsr, int(0.5 * 65536))
    assert clock.round_trip(block, 10.6) == pytest.approx(0.1, abs=0.001)


@pytest.mark.parametrize("echo", [0, 12345])
def test_an_echo_of_what_was_never_sent_says_nothing(echo: int) -> None:
    clock = rtcp.ReportClock()
    lsr = 0 if echo == 0 else ((clock.ntp(10.0) >> 16) + (40 << 16)) & 0xFFFF_FFFF
    assert clock.round_trip(RtcpReceiverInfo(1, 0, 0, 0, 0, lsr, 0), 10.0) is None


def test_the_report_clock_runs_at_the_speed_of_time() -> None:
    clock = rtcp.ReportClock()
    assert (clock.ntp(12.0) - clock.ntp(10.0)) / (1 << 32) == pytest.approx(2.0)


def test_transport_feedback_is_read_amid_other_packets() -> None:
    feedback = TransportFeedback(65_535, 3, 1, (5, None, 7))
    data = rtcp.key_frame_request(1, 2) + write_feedback(1, 2, feedback) + rtcp.nack_request(1, 2, [4])
    pli, read, nack = rtcp.read_rtcp(data)
    assert read == feedback
    assert rtcp.asks_for_key_frame(pli, 2)
    assert rtcp.nacked(nack, 2) == [4]
    assert (rtcp.reports_in(read), rtcp.nacked(read, 2), rtcp.asks_for_key_frame(read, 2)) == ([], [], False)


def test_a_packet_longer_than_what_came_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        rtcp.read_rtcp(rtcp.key_frame_request(1, 2)[:-1])
