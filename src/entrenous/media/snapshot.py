"""Collecting the figures of a running session into `CallStats`."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from .audio_receiver import AudioReceiver
from .audio_sender import AudioSender
from .engine import PacketPath
from .reports import ReportExchange
from .stats import AudioStats, CallStats, VideoStats
from .video_receiver import VideoReceiver
from .video_sender import VideoSender


class Measured(Protocol):
    """What figures are taken from."""

    reports: ReportExchange
    packets_rejected: int

    @property
    def audio_sender(self) -> AudioSender | None:
        """Of our sound."""

    @property
    def video_sender(self) -> VideoSender | None:
        """Of our camera."""

    @property
    def screen_sender(self) -> VideoSender | None:
        """Of our screen."""

    @property
    def audio_receiver(self) -> AudioReceiver | None:
        """Of the peer's sound."""

    @property
    def video_receiver(self) -> VideoReceiver | None:
        """Of the peer's camera."""

    @property
    def screen_receiver(self) -> VideoReceiver | None:
        """Of the peer's screen."""

    @property
    def leg(self) -> PacketPath | None:
        """The leg in use."""


def snapshot(session: Measured, now: float, seconds: float) -> CallStats:
    """The figures of a session at monotonic time `now`, `seconds` after its gate opened."""
    path = session.leg.path if session.leg is not None else None
    round_trip = session.reports.round_trip
    receivers = (session.audio_receiver, session.video_receiver)
    return CallStats(
        seconds=round(seconds, 3),
        path=path.kind.value if path is not None else None,
        round_trip_ms=round(round_trip * 1000, 1) if round_trip is not None else None,
        audio=_audio(session, now),
        video=_video(session, now),
        frames_rejected=sum(receiver.rejected for receiver in receivers if receiver is not None),
        packets_rejected=session.packets_rejected,
    )


def _audio(session: Measured, now: float) -> AudioStats:
    stats = AudioStats()
    if (sender := session.audio_sender) is not None:
        stats = replace(
            stats,
            sent=sender.stream.packets,
            remote_loss=session.reports.loss.get(sender.stream.identity.ssrc, 0.0),
            send_bitrate=round(8 * sender.stream.sent_rate.per_second(now)),
        )
    if (receiver := session.audio_receiver) is not None:
        counters = receiver.buffer.counters
        stats = replace(
            stats,
            received=receiver.reception.received,
            played=counters.played,
            concealed=counters.concealed,
            recovered=counters.recovered,
            late=counters.late,
            buffer_ms=round(receiver.buffer.delay * 1000, 1),
            loss=receiver.reception.loss,
            receive_bitrate=round(8 * receiver.received_rate.per_second(now)),
        )
    return stats


def _video(session: Measured, now: float) -> VideoStats:
    stats = VideoStats()
    if (sender := session.video_sender) is not None:
        stats = replace(
            stats,
            sent=sender.frames,
            skipped=sender.skipped,
            key_frames_sent=sender.key_frames,
            nacks_received=sender.nacks_received,
            retransmitted=sender.stream.retransmitted,
            remote_loss=session.reports.loss.get(sender.stream.identity.ssrc, 0.0),
            send_bitrate=round(8 * sender.stream.sent_rate.per_second(now)),
        )
    if (receiver := session.video_receiver) is not None:
        stats = replace(
            stats,
            received=receiver.frames,
            decoded=receiver.decoded,
            dropped=receiver.dropped,
            width=receiver.size[0],
            height=receiver.size[1],
            frames_per_second=round(receiver.shown_rate.per_second(now), 1),
            freezes=receiver.freezes,
            key_frames_received=receiver.key_frames,
            key_frames_requested=receiver.key_frames_requested,
            nacks_sent=receiver.nacks,
            repaired=receiver.repaired,
            loss=receiver.reception.loss,
            receive_bitrate=round(8 * receiver.received_rate.per_second(now)),
        )
    return stats
