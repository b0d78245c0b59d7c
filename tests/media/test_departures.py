"""Numbering, order, probes and rates of what leaves, with the clock in hand."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from entrenous.media.allocation import Demand
from entrenous.media.codecs.base import VideoCodec
from entrenous.media.departures import LEAST_PACE, LEAST_PACING, OVERHEAD, PACING, Departures
from entrenous.media.feedback import TransportFeedback
from entrenous.media.identities import AudioFormat, StreamIdentity
from entrenous.media.outgoing import OutgoingStream
from entrenous.media.pacer import BURST
from entrenous.media.rtp import HEADER_LENGTH, RtpPacket, read_rtp
from entrenous.media.streams import StreamKind

AUDIO, VIDEO, SCREEN = StreamKind.AUDIO, StreamKind.VIDEO, StreamKind.SCREEN
SOUND = Demand(40_000, 64_000)
CAMERA = Demand(60_000, 3_000_000)


class Way:
    """Departures with the streams of a call, and what left."""

    def __init__(self) -> None:
        self.left: list[RtpPacket] = []
        self.octets = 0
        self.rates: list[dict[StreamKind, int]] = []
        self.open = True
        self.departures = Departures(0.0, self._send, self._rated)
        self.sound = OutgoingStream(StreamIdentity(1, {AudioFormat.OPUS: 111}), 48_000, repairable=False)
        self.camera = OutgoingStream(
            StreamIdentity(2, {VideoCodec.VP8: 96}, 3, {VideoCodec.VP8: 97}), 90_000, repairable=True
        )
        self.departures.open(AUDIO, self.sound, SOUND)

    def _send(self, packet: bytes) -> bool:
        if self.open:
            self.left.append(read_rtp(packet))
            self.octets += len(packet) + OVERHEAD
        return self.open

    def _rated(self, rates: Mapping[StreamKind, int]) -> None:
        self.rates.append(dict(rates))

    def speak(self, now: float) -> bool:
        (packet,) = self.sound.frame([bytes(80)], 0, now, marker=False, format_=AudioFormat.OPUS)
        return self.departures.leave_now(AUDIO, packet, now)

    def show(self, count: int, now: float) -> None:
        self.departures.queue(
            VIDEO, self.camera.frame([bytes(1000)] * count, 0, now, marker=True, format_=VideoCodec.VP8)
        )

    def empty(self, now: float) -> float:
        """Let everything leave that waits; returns when the last of it did."""
        while (next_at := self.departures.next_at()) is not None:
            now = max(now + 0.001, next_at)
            self.departures.pump(now)
        return now

    def acknowledge(self, now: float) -> None:
        """All that left arrived 20 ms later, in steps of a millisecond."""
        numbers = [packet.transport_sequence or 0 for packet in self.left]
        self.departures.feedback(TransportFeedback(numbers[0], 0, 0, tuple(range(len(numbers)))), now)


def test_whatever_leaves_is_numbered_in_the_order_of_leaving() -> None:
    way = Way()
    way.departures.open(VIDEO, way.camera, CAMERA)
    way.show(2, 0.0)
    way.speak(0.0)
    for step in range(100):
        way.departures.pump(step * 0.01)
    assert [packet.transport_sequence for packet in way.left] == list(range(len(way.left)))
    assert way.left[0].ssrc == 1
    assert (way.sound.packets, way.camera.packets >= 2) == (1, True)


def test_what_could_not_be_sent_has_no_number() -> None:
    way = Way()
    way.open = False
    assert not way.speak(0.0)
    way.open = True
    assert way.speak(0.02)
    assert way.left[0].transport_sequence == 0
    assert way.sound.packets == 1


def test_while_only_sound_is_sent_there_is_nothing_to_wait_for_and_no_probe() -> None:
    way = Way()
    for step in range(500):
        assert way.speak(step * 0.02)
        assert way.departures.next_at() is None
        if step % 10 == 9:
            way.acknowledge(step * 0.02)
            way.left.clear()
    assert way.departures.padded == 0


def test_a_probe_is_filled_with_repetitions_and_leaves_at_its_rate() -> None:
    way = Way()
    way.departures.open(VIDEO, way.camera, CAMERA)
    way.show(1, 0.0)
    way.departures.pump(0.0)
    way.departures.pump(0.0)
    now = way.empty(0.0)
    size = way.octets
    assert way.departures.padded > 0
    assert {packet.ssrc for packet in way.left} == {2, 3}
    assert size >= 1_800_000 * 0.015 / 8
    assert now == pytest.approx(size * 8 / 1_800_000, abs=0.008)


def test_pictures_leave_in_bursts_of_several_packets_at_their_pace() -> None:
    way = Way()
    way.departures.open(VIDEO, way.camera, Demand(60_000, 500_000))
    rate = PACING * way.departures.rates[VIDEO]
    size = round(rate * BURST / 8 / 4)  # four packets for each burst
    way.departures.queue(
        VIDEO, way.camera.frame([bytes(size - 20 - OVERHEAD)] * 20, 0, 0.0, marker=True, format_=VideoCodec.VP8)
    )
    now = begun = 1.0
    way.departures.pump(now)
    bursts = [len(way.left)]
    while (next_at := way.departures.next_at()) is not None:
        assert next_at >= now + BURST
        now = next_at
        way.departures.pump(now)
        bursts.append(len(way.left) - sum(bursts))
    assert way.departures.padded == 0
    assert max(bursts) <= 5
    assert min(bursts[:-1]) >= 4
    assert now - begun == pytest.approx(20 * size * 8 / rate - BURST, abs=BURST)


def test_before_the_first_picture_there_is_no_probe() -> None:
    way = Way()
    way.departures.open(VIDEO, way.camera, CAMERA)
    way.speak(0.0)
    way.departures.pump(0.0)
    assert way.departures.next_at() is None
    assert way.departures.padded == 0


def test_rates_are_told_when_they_change_notably() -> None:
    way = Way()
    way.departures.open(VIDEO, way.camera, CAMERA)
    assert way.rates[-1] == {AUDIO: 64_000, VIDEO: 536_000}
    told = len(way.rates)
    way.departures.open(VIDEO, way.camera, CAMERA)
    assert len(way.rates) == told
    way.departures.shut(VIDEO)
    assert way.rates[-1] == {AUDIO: 64_000}


def test_the_backlog_is_in_seconds_of_the_stream_and_ends_with_it() -> None:
    way = Way()
    way.departures.open(VIDEO, way.camera, CAMERA)
    assert way.departures.backlog(VIDEO) == 0.0
    way.show(100, 0.0)
    assert way.departures.backlog(VIDEO) == pytest.approx(100 * (1020 + OVERHEAD) * 8 / 536_000)
    way.departures.shut(VIDEO)
    assert (way.departures.backlog(VIDEO), way.departures.next_at()) == (0.0, None)


def test_what_waits_can_be_forgotten_while_the_stream_goes_on() -> None:
    way = Way()
    way.departures.open(VIDEO, way.camera, CAMERA)
    way.show(100, 0.0)
    way.departures.drop(VIDEO)
    assert way.departures.backlog(VIDEO) == 0.0
    way.show(1, 0.0)
    way.departures.pump(0.0)
    assert way.departures.backlog(VIDEO) == 0.0
    assert way.departures.rates[VIDEO] > 0


def test_what_a_paused_stream_has_queued_still_leaves() -> None:
    way = Way()
    way.departures.open(VIDEO, way.camera, Demand(10_000_000, 20_000_000))
    assert way.departures.rates[VIDEO] == 0
    way.show(10, 0.0)
    now = way.empty(0.0)
    assert way.departures.backlog(VIDEO) == 0.0
    assert now <= 10 * (1020 + OVERHEAD) * 8 / LEAST_PACE


def test_what_repairs_take_is_kept_back_from_what_is_new() -> None:
    way = Way()
    way.departures.open(VIDEO, way.camera, CAMERA)
    way.show(10, 0.0)
    now = way.empty(0.0)
    whole = way.departures.rates[VIDEO]
    numbers = [packet.sequence_number for packet in way.left if packet.ssrc == 2]
    repairs = [repair for number in numbers if (repair := way.camera.repair(number, now, None)) is not None]
    way.departures.queue(VIDEO, repairs, repair=True)
    now = way.empty(now)
    way.departures.open(VIDEO, way.camera, CAMERA)
    taken = 8 * sum(len(repair) + OVERHEAD for repair in repairs)
    assert len(repairs) > 2
    assert way.departures.rates[VIDEO] == pytest.approx(whole - min(taken, whole / 2), rel=0.05)


def test_another_path_begins_with_less() -> None:
    way = Way()
    way.departures.open(VIDEO, way.camera, CAMERA)
    before = way.departures.rates[VIDEO]
    way.departures.path_changed(1.0)
    assert way.departures.rates[VIDEO] < before
    assert way.rates[-1] == way.departures.rates


def test_packets_are_as_large_as_the_path_makes_them() -> None:
    way = Way()
    way.departures.overhead = 100
    way.speak(0.0)
    way.departures.feedback(TransportFeedback(0, 0, 0, (1,)), 0.1)
    way.speak(1.0)
    assert way.departures.controller.history._sent[1].size == len(way.left[1].payload) + HEADER_LENGTH + 100


def test_large_frames_leave_no_faster_than_a_link_that_is_known_to_be_narrow() -> None:
    durations = []
    for narrow in (None, 500_000.0):
        way = Way()
        way.departures.open(VIDEO, way.camera, CAMERA)
        way.departures.controller._prober._next_at = 100.0  # no probe
        way.departures.controller._prober.carried = narrow
        way.departures.open(VIDEO, way.camera, CAMERA)
        way.show(50, 0.0)
        durations.append(way.empty(0.0))
    size = 50 * (1020 + OVERHEAD) * 8
    assert durations[0] == pytest.approx(size / (2.5 * 536_000), rel=0.05)
    assert durations[1] == pytest.approx(size / (LEAST_PACING * 536_000), rel=0.05)


def test_a_small_probe_is_not_made_large_by_what_waits() -> None:
    way = Way()
    way.departures.open(VIDEO, way.camera, CAMERA)
    way.show(20, 0.0)
    now = 0.0
    while way.departures.padded == 0:
        now += 0.001
        way.departures.pump(now)
    before = way.octets
    while way.departures._probe is not None:
        now += 0.001
        way.departures.pump(now)
    assert way.octets - before < 1_800_000 * 0.015 / 8 + 1200
