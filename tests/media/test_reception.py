"""Receiver reports: loss, jitter, the echo of sender reports."""

from __future__ import annotations

import pytest

from entrenous.media.reception import Reception
from entrenous.media.rtp import RtpPacket


def packet(sequence: int, timestamp: int | None = None) -> RtpPacket:
    return RtpPacket(111, 0, sequence & 0xFFFF, sequence * 960 if timestamp is None else timestamp, 7, b"x")


def test_nothing_is_reported_before_the_first_packet() -> None:
    assert Reception(7, 48_000).report(0.0) is None


def test_loss_is_reported_for_the_time_since_the_last_report() -> None:
    reception = Reception(7, 48_000)
    for sequence in (0, 1, 3, 4):
        reception.arrived(packet(sequence), sequence * 0.02)
    first = reception.report(1.0)
    assert first is not None
    assert (first.fraction_lost, first.packets_lost) == (51, 1)  # 1 of 5, in 256ths
    reception.arrived(packet(5), 0.1)
    second = reception.report(1.1)
    assert second is not None
    assert (second.fraction_lost, second.packets_lost) == (0, 1)
    assert reception.loss == pytest.approx(1 / 6)


def test_repetitions_do_not_count() -> None:
    reception = Reception(7, 48_000)
    assert reception.arrived(packet(1), 0.0) is not None
    assert reception.arrived(packet(1), 0.0) is None
    assert reception.received == 1


def test_a_repair_does_not_hide_the_loss() -> None:
    reception = Reception(7, 90_000)
    reception.arrived(packet(0), 0.0)
    reception.arrived(packet(2), 0.0)
    assert reception.repaired(1) is not None
    assert reception.repaired(1) is None
    assert reception.lost == 1


def test_the_highest_number_counts_cycles() -> None:
    reception = Reception(7, 48_000)
    reception.arrived(packet(0xFFFF), 0.0)
    reception.arrived(packet(0x10000), 0.0)
    report = reception.report(0.0)
    assert report is not None
    assert report.highest_sequence == 0x20000
    assert report.packets_lost == 0


def test_jitter_is_that_of_rfc_3550() -> None:
    reception = Reception(7, 48_000)
    for sequence in range(200):
        reception.arrived(packet(sequence), sequence * 0.02 + (0.010 if sequence % 2 else 0.0))
    assert reception.jitter == pytest.approx(0.010, rel=0.05)


def test_a_steady_stream_has_no_jitter_across_a_timestamp_wrap() -> None:
    reception = Reception(7, 48_000)
    for sequence in range(50):
        reception.arrived(packet(sequence, (0xFFFF_F000 + sequence * 960) & 0xFFFF_FFFF), sequence * 0.02)
    assert reception.jitter < 0.0001


def test_a_sender_report_is_echoed_with_its_delay() -> None:
    reception = Reception(7, 48_000)
    reception.arrived(packet(0), 0.0)
    reception.sender_reported(0x1111_2222_3333_4444, 1.0)
    report = reception.report(1.5)
    assert report is not None
    assert (report.lsr, report.dlsr) == (0x2222_3333, 32768)
