"""Figures are taken from where they are counted, and are zero where there is nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from entrenous.media.audio_plan import AudioPlan
from entrenous.media.codecs.base import VideoCodec
from entrenous.media.events import LegPath, PathKind
from entrenous.media.playout_steps import PlayoutCounters
from entrenous.media.quality import rate_call
from entrenous.media.reports import ReportExchange
from entrenous.media.snapshot import snapshot
from entrenous.media.stats import AudioStats, RateMeter, VideoStats
from entrenous.media.streams import StreamKind


@dataclass
class Session:
    audio_sender: Any = None
    video_sender: Any = None
    screen_sender: Any = None
    audio_receiver: Any = None
    video_receiver: Any = None
    screen_receiver: Any = None
    reports: ReportExchange = field(default_factory=lambda: ReportExchange([7, 8]))
    packets_rejected: int = 0
    leg: Any = None
    departures: Any = field(
        default_factory=lambda: SimpleNamespace(
            controller=SimpleNamespace(rate=600_000.4, queue_delay=0.0123), rates={StreamKind.VIDEO: 500_000}
        )
    )


def meter(amount: float) -> RateMeter:
    rate = RateMeter()
    rate.add(amount, 10.0)
    return rate


def test_a_session_that_has_not_begun_has_zeros() -> None:
    stats = snapshot(Session(), 10.0, 0.0)
    assert (stats.audio, stats.video, stats.path, stats.round_trip_ms) == (AudioStats(), VideoStats(), None, None)


@dataclass
class Buffer:
    counters: PlayoutCounters
    delay: float = 0.04
    wanted_delay: float = 0.05

    def __len__(self) -> int:
        return 38


def picture_sender() -> SimpleNamespace:
    return SimpleNamespace(
        frames=8,
        skipped=9,
        codec=VideoCodec.VP9,
        size=(26, 27),
        key_frames=10,
        nacks_received=11,
        encode_seconds=0.028,
        stream=SimpleNamespace(retransmitted=12, identity=SimpleNamespace(ssrc=8), sent_rate=meter(300)),
    )


def picture_receiver() -> SimpleNamespace:
    return SimpleNamespace(
        rejected=13,
        frames=14,
        decoded=15,
        dropped=16,
        ignored=33,
        size=(17, 18),
        shown_rate=meter(19),
        freezes=20,
        frozen_seconds=0.029,
        last_offset=-0.03,
        key_frames=21,
        key_frames_requested=22,
        nacks=23,
        repaired=24,
        decode_seconds=0.031,
        reception=SimpleNamespace(loss=0.5, jitter=0.032),
        received_rate=meter(400),
    )


def full_session() -> Session:
    counters = PlayoutCounters(
        played=1004, copies_played=4, concealed=5, recovered=6, late=7, discarded=34, lengthened=480, shortened=960
    )
    session = Session(
        audio_sender=SimpleNamespace(
            stream=SimpleNamespace(packets=1, identity=SimpleNamespace(ssrc=7), sent_rate=meter(100)),
            plan=AudioPlan(32_000, fec=True, duplicate_distance=2),
            encode_seconds=0.0004,
            blocks_missed=35,
            beats_left_out=36,
        ),
        audio_receiver=SimpleNamespace(
            rejected=2,
            reception=SimpleNamespace(received=3, loss=0.25, jitter=0.033),
            buffer=Buffer(counters),
            received_rate=meter(200),
            concealed_rate=meter(2),
            held_up_seconds=0.037,
        ),
        video_sender=picture_sender(),
        video_receiver=picture_receiver(),
        packets_rejected=25,
        leg=SimpleNamespace(path=LegPath(PathKind.RELAY, "relay", "host", "udp", 48)),
    )
    session.reports.round_trip = 0.0123
    session.reports.loss = {7: 0.1, 8: 0.2}
    return session


def test_every_figure_of_sound_comes_from_its_counter() -> None:
    assert snapshot(full_session(), 10.0, 2.0).audio == AudioStats(
        sent=1,
        missed=35,
        left_out=36,
        received=3,
        played=1000,
        concealed=5,
        concealed_share=0.04,
        recovered=10,
        late=7,
        discarded=34,
        waiting=38,
        held_up_ms=37.0,
        buffer_ms=40.0,
        wanted_buffer_ms=50.0,
        jitter_ms=33.0,
        stretched_ms=10.0,
        shortened_ms=20.0,
        loss=0.25,
        remote_loss=0.1,
        send_bitrate=800,
        receive_bitrate=1600,
        codec_bitrate=32_000,
        frame_ms=20,
        error_correction=True,
        copies=2,
        encode_ms=0.4,
    )


def test_every_figure_of_pictures_comes_from_its_counter() -> None:
    session = full_session()
    expected = VideoStats(
        sent=8,
        received=14,
        decoded=15,
        dropped=16,
        ignored=33,
        skipped=9,
        codec="vp9",
        send_width=26,
        send_height=27,
        width=17,
        height=18,
        frames_per_second=19,
        freezes=20,
        frozen_ms=29.0,
        behind_ms=-30.0,
        jitter_ms=32.0,
        key_frames_sent=10,
        key_frames_received=21,
        key_frames_requested=22,
        nacks_sent=23,
        nacks_received=11,
        retransmitted=12,
        repaired=24,
        loss=0.5,
        remote_loss=0.2,
        target_bitrate=500_000,
        send_bitrate=2400,
        receive_bitrate=3200,
        encode_ms=28.0,
        decode_ms=31.0,
    )
    assert snapshot(session, 10.0, 2.0).video == expected
    session.screen_sender, session.screen_receiver = session.video_sender, session.video_receiver
    session.video_sender = session.video_receiver = None
    stats = snapshot(session, 10.0, 2.0)
    assert (stats.video, stats.screen) == (VideoStats(), replace(expected, target_bitrate=0))


def test_every_figure_of_the_call_comes_from_its_counter() -> None:
    stats = snapshot(full_session(), 10.0, 2.0)
    assert (stats.seconds, stats.path, stats.round_trip_ms) == (2.0, "relay", pytest.approx(12.3))
    assert (stats.send_rate, stats.queue_ms) == (600_000, 12.3)
    assert (stats.frames_rejected, stats.packets_rejected) == (15, 25)
    assert stats.quality == rate_call(delay=0.00615 + 0.06 + 0.04, concealed=0.04, bitrate=32_000)


def test_without_sound_or_round_trip_there_is_no_quality() -> None:
    session = full_session()
    session.reports.round_trip = None
    assert snapshot(session, 10.0, 2.0).quality is None
    session = full_session()
    session.audio_receiver = None
    assert snapshot(session, 10.0, 2.0).quality is None
