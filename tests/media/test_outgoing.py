"""One outgoing stream: numbering, retransmission, reports."""

from __future__ import annotations

from itertools import pairwise

from entrenous.media.codecs.base import VideoCodec
from entrenous.media.identities import StreamIdentity
from entrenous.media.outgoing import HISTORY_PACKETS, HISTORY_SECONDS, OutgoingStream
from entrenous.media.rtcp import ReportClock
from entrenous.media.rtp import HEADER_LENGTH, MAX_PADDING, original_of, read_rtp

IDENTITY = StreamIdentity(1, {VideoCodec.VP8: 96}, 2, {VideoCodec.VP8: 97})


def stream(identity: StreamIdentity = IDENTITY) -> OutgoingStream:
    return OutgoingStream(identity, 90_000, repairable=True)


def packets_of(
    out: OutgoingStream, payloads: list[bytes], timestamp: int, captured_at: float, *, marker: bool
) -> list[bytearray]:
    return out.frame(payloads, timestamp, captured_at, marker=marker, format_=VideoCodec.VP8)


def test_the_packets_of_a_frame() -> None:
    out = stream()
    packets = [read_rtp(data) for data in packets_of(out, [b"a", b"b", b"c"], 77, 0.0, marker=True)]
    assert [packet.payload for packet in packets] == [b"a", b"b", b"c"]
    assert [packet.marker for packet in packets] == [0, 0, 1]
    assert {(packet.timestamp, packet.ssrc, packet.payload_type) for packet in packets} == {(77, 1, 96)}
    first = packets[0].sequence_number
    assert [packet.sequence_number for packet in packets] == [first, first + 1, first + 2]


def test_sequence_numbers_wrap() -> None:
    out = OutgoingStream(IDENTITY, 90_000, repairable=False)
    numbers = [read_rtp(packets_of(out, [b"x"], 0, 0.0, marker=False)[0]).sequence_number for _ in range(70_000)]
    assert all((one + 1) % 65536 == next_ for one, next_ in pairwise(numbers))


def test_a_packet_is_repeated_on_its_own_stream_once_a_round_trip() -> None:
    out = stream()
    sent = read_rtp(packets_of(out, [b"payload"], 77, 0.0, marker=True)[0])
    repair = out.repair(sent.sequence_number, 0.1, 0.05)
    assert repair is not None
    repeated = read_rtp(repair)
    assert (repeated.ssrc, repeated.payload_type) == (2, 97)
    original = original_of(repeated, ssrc=1, payload_type=96)
    assert original is not None
    assert (original.sequence_number, original.payload, original.marker) == (sent.sequence_number, b"payload", 1)
    assert out.repair(sent.sequence_number, 0.12, 0.05) is None
    assert out.repair(sent.sequence_number, 0.16, 0.05) is not None
    assert out.retransmitted == 2


def test_what_is_old_or_unknown_is_not_repeated() -> None:
    out = stream()
    number = read_rtp(packets_of(out, [b"x"], 0, 0.0, marker=True)[0]).sequence_number
    assert out.repair(number, HISTORY_SECONDS + 0.01, None) is None
    assert out.repair((number + 1) % 65536, 0.0, None) is None


def test_the_history_is_bounded() -> None:
    out = stream()
    numbers = [
        read_rtp(packets_of(out, [b"x"], 0, 0.0, marker=True)[0]).sequence_number for _ in range(HISTORY_PACKETS + 1)
    ]
    assert out.repair(numbers[0], 0.0, None) is None
    assert out.repair(numbers[1], 0.0, None) is not None


def test_repairs_do_not_feed_a_storm() -> None:
    out = stream()
    numbers = [read_rtp(packets_of(out, [bytes(1200)], 0, 0.0, marker=True)[0]).sequence_number for _ in range(200)]
    repaired = sum(out.repair(number, 0.1, None) is not None for number in numbers)
    assert 10 <= repaired <= 30  # 20 kB while nothing else has left


def test_a_peer_without_retransmission_gets_none() -> None:
    out = stream()
    out.use(StreamIdentity(9, {VideoCodec.VP8: 120}))
    packet = read_rtp(packets_of(out, [b"x"], 0, 0.0, marker=True)[0])
    assert (packet.ssrc, packet.payload_type) == (1, 120)
    assert out.repair(packet.sequence_number, 0.0, None) is None


def test_a_report_ties_the_clocks_together() -> None:
    out = stream()
    clock = ReportClock()
    assert out.report(clock, 0.0, []) is None
    for packet in packets_of(out, [b"12345"], 1000, 10.0, marker=True):
        out.sent(packet, 10.0)
    report = out.report(clock, 10.5, [])
    assert report is not None
    assert report.sender_info.ntp_timestamp == clock.ntp(10.5)
    assert report.sender_info.rtp_timestamp == 1000 + 45_000
    assert (report.sender_info.packet_count, report.sender_info.octet_count) == (1, 5)


def test_timestamps_follow_the_time_of_capture() -> None:
    out = stream()
    assert (out.timestamp_of(11.0) - out.timestamp_of(10.0)) % (1 << 32) == 90_000


def test_a_probe_repeats_the_newest_packet_that_fits() -> None:
    out = stream()
    for payload in (bytes(900), b"n" * 1000, bytes(100)):
        packets_of(out, [payload], 0, 0.0, marker=True)
    packet = out.padding(1200)
    assert packet is not None
    repeated = original_of(read_rtp(bytes(packet)), ssrc=1, payload_type=96)
    assert repeated is not None
    assert repeated.payload == b"n" * 1000


def test_a_probe_is_padded_when_no_packet_fits() -> None:
    out = stream()
    packets_of(out, [bytes(1000)], 0, 0.0, marker=True)
    first, second = out.padding(200), out.padding(3000)
    assert first is not None
    assert second is not None
    assert (len(first), len(second)) == (200, HEADER_LENGTH + MAX_PADDING)
    numbers = [read_rtp(bytes(packet)).sequence_number for packet in (first, second)]
    assert numbers[1] == numbers[0] + 1
    assert original_of(read_rtp(bytes(first)), ssrc=1, payload_type=96) is None


def test_there_is_no_padding_before_the_first_frame_or_without_retransmissions() -> None:
    assert stream().padding(1200) is None
    out = stream(StreamIdentity(1, {VideoCodec.VP8: 96}))
    packets_of(out, [bytes(1000)], 0, 0.0, marker=True)
    assert out.padding(1200) is None


def test_repairs_and_padding_are_no_packets_of_the_reported_stream() -> None:
    out = stream()
    (packet,) = packets_of(out, [b"12345"], 0, 0.0, marker=True)
    out.sent(packet, 0.0)
    repair, padding = out.repair(read_rtp(bytes(packet)).sequence_number, 0.1, None), out.padding(200)
    for extra in (repair, padding):
        assert extra is not None
        out.sent(extra, 0.1)
    report = out.report(ReportClock(), 0.5, [])
    assert report is not None
    assert (report.sender_info.packet_count, report.sender_info.octet_count) == (1, 5)
    assert out.sent_rate.per_second(0.1) > len(packet)
