"""Reports between two ends, without a network."""

from __future__ import annotations

import pytest
from aiortc.rtp import RtcpReceiverInfo, RtcpRrPacket, RtcpSrPacket

from entrenous.media.codecs.base import VideoCodec
from entrenous.media.identities import AudioFormat, StreamIdentity
from entrenous.media.outgoing import OutgoingStream
from entrenous.media.reception import Reception
from entrenous.media.reports import ReportExchange
from entrenous.media.rtcp import read_rtcp
from entrenous.media.rtp import RtpPacket, read_rtp


def test_before_anything_is_sent_an_empty_report_shows_that_we_live() -> None:
    (packet,) = read_rtcp(ReportExchange([5, 6]).make([], [], 0.0))
    assert packet == RtcpRrPacket(5, [])


def test_the_first_sender_report_carries_what_was_received() -> None:
    streams = [OutgoingStream(StreamIdentity(ssrc, {VideoCodec.VP8: 96}), 90_000, repairable=False) for ssrc in (5, 6)]
    for stream in streams:
        stream.frame([b"x"], 0, 0.0, marker=True, format_=VideoCodec.VP8)
    reception = Reception(9, 48_000)
    reception.arrived(RtpPacket(111, 0, 1, 960, 9, b"x"), 0.0)
    first, second = read_rtcp(ReportExchange([5, 6]).make(streams, [reception], 1.0))
    assert isinstance(first, RtcpSrPacket)
    assert isinstance(second, RtcpSrPacket)
    assert ([block.ssrc for block in first.reports], second.reports) == ([9], [])


def test_a_report_and_its_echo_measure_the_round_trip() -> None:
    here, there = ReportExchange([5]), ReportExchange([9])
    stream = OutgoingStream(StreamIdentity(5, {AudioFormat.OPUS: 111}), 48_000, repairable=False)
    reception = Reception(5, 48_000)
    reception.arrived(read_rtp(stream.frame([b"x"], 0, 0.0, marker=False, format_=AudioFormat.OPUS)[0]), 0.05)
    for sent_at in (10.0, 11.0):
        (report,) = read_rtcp(here.make([stream], [], sent_at))
        assert isinstance(report, RtcpSrPacket)
        reception.sender_reported(report.sender_info.ntp_timestamp, sent_at + 0.05)
        (answer,) = read_rtcp(there.make([], [reception], sent_at + 0.25))
        assert isinstance(answer, RtcpRrPacket)
        here.take(answer.reports[0], sent_at + 0.3)
        assert here.round_trip == pytest.approx(0.1, abs=0.001)
    assert here.loss == {5: 0.0}


def test_what_is_said_about_a_stream_of_somebody_else_is_ignored() -> None:
    exchange = ReportExchange([5])
    exchange.take(RtcpReceiverInfo(6, 128, 0, 0, 0, 0, 0), 0.0)
    assert exchange.loss == {}
    exchange.take(RtcpReceiverInfo(5, 128, 0, 0, 0, 0, 0), 0.0)
    assert exchange.loss == {5: 0.5}
    assert exchange.round_trip is None
