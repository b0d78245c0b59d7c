"""Collecting the figures of a running session into `CallStats`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

from .audio_receiver import AudioReceiver
from .audio_sender import AudioSender
from .codecs.base import BLOCK_SECONDS, SAMPLE_RATE
from .departures import Departures
from .engine import PacketPath
from .quality import Quality, rate_call
from .reports import ReportExchange
from .stats import AudioStats, CallStats, VideoStats
from .streams import StreamKind
from .video_receiver import VideoReceiver
from .video_sender import VideoSender

UNMEASURED_DELAY = 0.040
"""Seconds that sound needs inside both ends beside what is measured: a block in each sound card and its driver."""


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
    def departures(self) -> Departures:
        """What decides when packets leave, and at which rate."""

    @property
    def leg(self) -> PacketPath | None:
        """The leg in use."""


def snapshot(session: Measured, now: float, seconds: float) -> CallStats:
    """The figures of a session at monotonic time `now`, `seconds` after its gate opened."""
    path = session.leg.path if session.leg is not None else None
    round_trip = session.reports.round_trip
    receivers = (session.audio_receiver, session.video_receiver, session.screen_receiver)
    controller = session.departures.controller
    audio = _audio(session, now)
    return CallStats(
        seconds=round(seconds, 3),
        path=path.kind.value if path is not None else None,
        round_trip_ms=round(round_trip * 1000, 1) if round_trip is not None else None,
        audio=audio,
        video=_pictures(session, StreamKind.VIDEO, session.video_sender, session.video_receiver, now),
        screen=_pictures(session, StreamKind.SCREEN, session.screen_sender, session.screen_receiver, now),
        send_rate=round(controller.rate),
        queue_ms=_milliseconds(controller.queue_delay),
        frames_rejected=sum(receiver.rejected for receiver in receivers if receiver is not None),
        packets_rejected=session.packets_rejected,
        quality=_quality(audio, round_trip),
    )


def _audio(session: Measured, now: float) -> AudioStats:
    figures: dict[str, Any] = {}
    if (sender := session.audio_sender) is not None:
        figures |= {
            "sent": sender.stream.packets,
            "missed": sender.blocks_missed,
            "left_out": sender.beats_left_out,
            "remote_loss": session.reports.loss.get(sender.stream.identity.ssrc, 0.0),
            "send_bitrate": round(8 * sender.stream.sent_rate.per_second(now)),
            "codec_bitrate": sender.plan.bitrate,
            "frame_ms": sender.plan.frame_ms,
            "error_correction": sender.plan.fec,
            "copies": sender.plan.duplicate_distance,
            "encode_ms": _milliseconds(sender.encode_seconds),
        }
    if (receiver := session.audio_receiver) is not None:
        buffer, reception = receiver.buffer, receiver.reception
        counters = buffer.counters
        figures |= {
            "received": reception.received,
            "played": counters.played - counters.copies_played,
            "concealed": counters.concealed,
            "concealed_share": round(min(1.0, receiver.concealed_rate.per_second(now) * BLOCK_SECONDS), 4),
            "recovered": counters.recovered + counters.copies_played,
            "late": counters.late,
            "discarded": counters.discarded,
            "waiting": len(buffer),
            "held_up_ms": _milliseconds(receiver.held_up_seconds),
            "buffer_ms": _milliseconds(buffer.delay),
            "wanted_buffer_ms": _milliseconds(buffer.wanted_delay),
            "jitter_ms": _milliseconds(reception.jitter),
            "stretched_ms": _milliseconds(counters.lengthened / SAMPLE_RATE),
            "shortened_ms": _milliseconds(counters.shortened / SAMPLE_RATE),
            "loss": reception.loss,
            "receive_bitrate": round(8 * receiver.received_rate.per_second(now)),
        }
    return AudioStats(**figures)


def _pictures(
    session: Measured, kind: StreamKind, sender: VideoSender | None, receiver: VideoReceiver | None, now: float
) -> VideoStats:
    stats = VideoStats()
    if sender is not None:
        stats = replace(
            stats,
            sent=sender.frames,
            skipped=sender.skipped,
            codec=sender.codec.value if sender.frames else None,
            send_width=sender.size[0],
            send_height=sender.size[1],
            key_frames_sent=sender.key_frames,
            nacks_received=sender.nacks_received,
            retransmitted=sender.stream.retransmitted,
            remote_loss=session.reports.loss.get(sender.stream.identity.ssrc, 0.0),
            target_bitrate=session.departures.rates.get(kind, 0),
            send_bitrate=round(8 * sender.stream.sent_rate.per_second(now)),
            encode_ms=_milliseconds(sender.encode_seconds),
        )
    if receiver is not None:
        offset = receiver.last_offset
        stats = replace(
            stats,
            received=receiver.frames,
            decoded=receiver.decoded,
            dropped=receiver.dropped,
            ignored=receiver.ignored,
            width=receiver.size[0],
            height=receiver.size[1],
            frames_per_second=round(receiver.shown_rate.per_second(now), 1),
            freezes=receiver.freezes,
            frozen_ms=_milliseconds(receiver.frozen_seconds),
            behind_ms=None if offset is None else _milliseconds(offset),
            jitter_ms=_milliseconds(receiver.reception.jitter),
            key_frames_received=receiver.key_frames,
            key_frames_requested=receiver.key_frames_requested,
            nacks_sent=receiver.nacks,
            repaired=receiver.repaired,
            loss=receiver.reception.loss,
            receive_bitrate=round(8 * receiver.received_rate.per_second(now)),
            decode_ms=_milliseconds(receiver.decode_seconds),
        )
    return stats


def _quality(audio: AudioStats, round_trip: float | None) -> Quality | None:
    """What is heard here. The peer's way of coding is not known: that it is like ours is the best guess."""
    if not audio.played or round_trip is None:
        return None
    delay = round_trip / 2 + (audio.buffer_ms + audio.frame_ms) / 1000 + UNMEASURED_DELAY
    return rate_call(delay=delay, concealed=audio.concealed_share, bitrate=audio.codec_bitrate)


def _milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 1)
