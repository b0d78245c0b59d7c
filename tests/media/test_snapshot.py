"""Figures are taken from where they are counted, and are zero where there is nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from entrenous.media.events import LegPath, PathKind
from entrenous.media.playout_steps import PlayoutCounters
from entrenous.media.reports import ReportExchange
from entrenous.media.snapshot import snapshot
from entrenous.media.stats import AudioStats, RateMeter, VideoStats


@dataclass
class Session:
    audio_sender: Any = None
    video_sender: Any = None
    audio_receiver: Any = None
    video_receiver: Any = None
    reports: ReportExchange = field(default_factory=lambda: ReportExchange([7, 8]))
    packets_rejected: int = 0
    leg: Any = None


def meter(amount: float) -> RateMeter:
    rate = RateMeter()
    rate.add(amount, 10.0)
    return rate


def test_a_session_that_has_not_begun_has_zeros() -> None:
    stats = snapshot(Session(), 10.0, 0.0)
    assert (stats.audio, stats.video, stats.path, stats.round_trip_ms) == (AudioStats(), VideoStats(), None, None)


def test_every_figure_comes_from_its_counter() -> None:
    session = Session(
        audio_sender=SimpleNamespace(
            stream=SimpleNamespace(packets=1, identity=SimpleNamespace(ssrc=7), sent_rate=meter(100))
        ),
        audio_receiver=SimpleNamespace(
            rejected=2,
            reception=SimpleNamespace(received=3, loss=0.25),
            buffer=SimpleNamespace(counters=PlayoutCounters(played=4, concealed=5, recovered=6, late=7), delay=0.04),
            received_rate=meter(200),
        ),
        video_sender=SimpleNamespace(
            frames=8,
            skipped=9,
            key_frames=10,
            nacks_received=11,
            stream=SimpleNamespace(retransmitted=12, identity=SimpleNamespace(ssrc=8), sent_rate=meter(300)),
        ),
        video_receiver=SimpleNamespace(
            rejected=13,
            frames=14,
            decoded=15,
            dropped=16,
            size=(17, 18),
            shown_rate=meter(19),
            freezes=20,
            key_frames=21,
            key_frames_requested=22,
            nacks=23,
            repaired=24,
            reception=SimpleNamespace(loss=0.5),
            received_rate=meter(400),
        ),
        packets_rejected=25,
        leg=SimpleNamespace(path=LegPath(PathKind.RELAY, "relay", "host", "udp")),
    )
    session.reports.round_trip = 0.0123
    session.reports.loss = {7: 0.1, 8: 0.2}
    stats = snapshot(session, 10.0, 2.0)
    assert stats.audio == AudioStats(1, 3, 4, 5, 6, 7, 40.0, 0.25, 0.1, 800, 1600)
    assert stats.video == VideoStats(
        sent=8,
        received=14,
        decoded=15,
        dropped=16,
        skipped=9,
        width=17,
        height=18,
        frames_per_second=19,
        freezes=20,
        key_frames_sent=10,
        key_frames_received=21,
        key_frames_requested=22,
        nacks_sent=23,
        nacks_received=11,
        retransmitted=12,
        repaired=24,
        loss=0.5,
        remote_loss=0.2,
        send_bitrate=2400,
        receive_bitrate=3200,
    )
    assert (stats.seconds, stats.path, stats.round_trip_ms) == (2.0, "relay", pytest.approx(12.3))
    assert (stats.frames_rejected, stats.packets_rejected) == (15, 25)
