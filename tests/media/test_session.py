"""Whole sessions: the gate, what leaves, what a peer may not send, other legs, and the end."""

from __future__ import annotations

import asyncio
import gc
import threading

import av
import numpy as np
import psutil
import pytest

from entrenous.crypto.sframe import FrameSealer
from entrenous.errors import DeviceError, LocalProtocolError, MediaError, RemoteProtocolError
from entrenous.media.codecs.base import Samples
from entrenous.media.engine import MediaEngine
from entrenous.media.events import FirstAudio, FirstVideo, Flowing, SinkFailed, SourceEnded, Stalled, Suspect
from entrenous.media.rtp import is_rtcp
from entrenous.media.session import MAX_HELD, CallSession
from entrenous.media.sources.testcard import TestCardSource
from entrenous.media.streams import StreamKind
from lab.calls import (
    SETTINGS,
    CallEnd,
    EventLog,
    FrameKeys,
    KeepingSink,
    MemoryPath,
    SoundSource,
    close_call,
    make_call,
    memory_paths,
    open_call,
    silent,
    until,
)
from world.virtual_time import in_virtual_time


def pair(**options: object) -> tuple[CallEnd, CallEnd]:
    return make_call((silent(), silent()), **options)  # type: ignore[arg-type]


def rtp_of(path: MemoryPath, kind: StreamKind) -> list[bytes]:
    ssrc = path.local.by_kind[kind].ssrc
    return [packet for packet in path.sent if not is_rtcp(packet) and int.from_bytes(packet[8:12], "big") == ssrc]


# The gate


@pytest.mark.usefixtures("without_threads")
@in_virtual_time
async def test_nothing_leaves_before_the_gate_opens() -> None:
    ends = pair()
    await asyncio.gather(*(end.session.open() for end in ends))
    assert all(end.source.started and end.sink.started for end in ends)
    assert not ends[0].session._send(b"\x80\xc9\x00\x00")  # not even a report or a request
    await asyncio.sleep(0.15)  # what does not happen has no event
    assert all(end.path.sent == [] for end in ends)
    ends[0].session.open_gate()
    await until(lambda: len(ends[0].path.sent) > 3)
    assert ends[1].path.sent == []
    assert ends[1].sink.heard == []
    await close_call(*ends)


@pytest.mark.usefixtures("without_threads")
@in_virtual_time
async def test_what_came_before_the_gate_is_kept_within_bounds_and_played() -> None:
    ends = pair()
    await asyncio.gather(*(end.session.open() for end in ends))
    ends[0].session.open_gate()
    await until(lambda: len(rtp_of(ends[0].path, StreamKind.AUDIO)) > 8)
    for _ in range(2 * MAX_HELD):
        ends[1].path.deliver(b"\x80\x6f" + bytes(10))
    assert len(ends[1].session._held_back) == MAX_HELD
    ends[1].session._held_back.clear()
    for packet in ends[0].path.sent:
        ends[1].path.deliver(packet)
    ends[1].session.open_gate()
    assert ends[1].session.stats().audio.received >= 8
    await ends[1].log.wait_for(FirstAudio)
    await close_call(*ends)


@pytest.mark.usefixtures("without_threads")
@in_virtual_time
async def test_the_gate_opens_once_and_only_when_everything_is_there() -> None:
    ends = pair()
    with pytest.raises(LocalProtocolError):
        ends[0].session.open_gate()
    await ends[0].session.open()
    with pytest.raises(LocalProtocolError):
        await ends[0].session.open()
    ends[0].session.open_gate()
    with pytest.raises(LocalProtocolError):
        ends[0].session.open_gate()
    await close_call(*ends)


def lone_session(source: object, sink: object, sealers: dict[StreamKind, FrameSealer] | None = None) -> CallSession:
    engine = MediaEngine(SETTINGS)
    keys = FrameKeys()
    return CallSession(
        streams=engine.new_streams(),
        sealers=keys.sealers(0) if sealers is None else sealers,
        openers=keys.openers(0),
        source=source,  # type: ignore[arg-type]
        sink=sink,  # type: ignore[arg-type]
        settings=SETTINGS,
        on_event=EventLog(),
    )


@pytest.mark.usefixtures("without_threads")
@in_virtual_time
async def test_without_keys_for_sound_there_is_no_session() -> None:
    with pytest.raises(LocalProtocolError):
        lone_session(silent(), KeepingSink(), sealers={})


class BrokenSource(SoundSource):
    async def start(self) -> None:
        raise DeviceError("There is no microphone.")


@pytest.mark.usefixtures("without_threads")
@in_virtual_time
async def test_a_source_that_does_not_open_closes_everything() -> None:
    source, sink = BrokenSource(), KeepingSink()
    session = lone_session(source, sink)
    with pytest.raises(DeviceError):
        await session.open()
    assert source.closed
    assert sink.closed
    await session.close()
    assert len(asyncio.all_tasks()) == 1


# Both halves of the traffic


@pytest.mark.usefixtures("without_threads")
@in_virtual_time
async def test_muted_sound_cannot_be_told_from_talk() -> None:
    ends = make_call(
        (SoundSource(np.random.default_rng(0).integers(-9000, 9000, 48_000 * 9).astype(np.int16)), silent())
    )
    await open_call(*ends)
    await until(lambda: len(rtp_of(ends[0].path, StreamKind.AUDIO)) > 20)
    ends[0].session.mute(StreamKind.AUDIO, True)
    await until(lambda: len(rtp_of(ends[0].path, StreamKind.AUDIO)) > 40)
    sizes = {len(packet) for packet in rtp_of(ends[0].path, StreamKind.AUDIO)[9:]}
    await close_call(*ends)
    assert len(sizes) == 1
    last = [float(np.abs(block.astype(np.float64)).mean()) for block, _ in ends[1].sink.heard]
    assert max(last[:15]) > 1000
    assert last[-1] < 200


@pytest.mark.usefixtures("without_threads")
@in_virtual_time
async def test_a_muted_picture_stops_and_comes_back() -> None:
    ends = make_call((TestCardSource(128, 96, 30), silent()))
    ends[0].session.mute(StreamKind.VIDEO, True)
    await open_call(*ends)
    await until(lambda: ends[0].session.stats().video.skipped > 3)
    assert ends[0].session.stats().video.sent == 0
    ends[0].session.mute(StreamKind.VIDEO, False)
    await until(lambda: ends[1].session.stats().video.decoded > 3)
    assert ends[0].session.stats().video.key_frames_sent == 1
    await close_call(*ends)


@pytest.mark.usefixtures("without_threads")
@in_virtual_time
async def test_a_call_without_sources_sends_silence_and_reports() -> None:
    ends = make_call((SoundSource(), SoundSource()))
    await open_call(*ends)
    await until(lambda: all(end.session.stats().audio.played > 20 for end in ends))
    await until(lambda: all(end.session.reports.round_trip is not None for end in ends))
    reports = [packet for packet in ends[0].path.sent if is_rtcp(packet)]
    assert len(reports) >= 2
    assert rtp_of(ends[0].path, StreamKind.VIDEO) == []
    assert ends[0].session.stats().video.sent == 0
    await close_call(*ends)


@pytest.mark.usefixtures("without_threads")
@in_virtual_time
async def test_the_end_of_the_source_is_told_and_silence_follows() -> None:
    ends = make_call((SoundSource(np.zeros(960 * 5, np.int16)), silent()))
    await open_call(*ends)
    assert (await ends[0].log.wait_for(SourceEnded)).kind is StreamKind.AUDIO
    await until(lambda: len(rtp_of(ends[0].path, StreamKind.AUDIO)) > 15)
    await close_call(*ends)


# What a peer may not send


@pytest.mark.usefixtures("without_threads")
@in_virtual_time
async def test_what_is_malformed_or_unknown_is_counted_and_dropped() -> None:
    ends = pair()
    await open_call(*ends)
    await ends[1].log.wait_for(FirstAudio)
    for packet in (
        b"",
        b"\x80",
        b"\x80\x6f" + bytes(10),
        b"\x80\xc8\x00\x01" + bytes(4),
        b"\x80\xce\x00\x09",
        bytes(40),
    ):
        ends[1].path.deliver(packet)
    assert ends[1].session.packets_rejected == 6
    played = ends[1].session.stats().audio.played
    await until(lambda: ends[1].session.stats().audio.played > played + 5)
    await close_call(*ends)


class RefusingSink(KeepingSink):
    def play(self, block: Samples, at: float) -> None:
        raise MediaError("The disk is full.")

    def show(self, frame: av.VideoFrame, at: float) -> None:
        raise MediaError("The disk is full.")


@pytest.mark.usefixtures("without_threads")
@in_virtual_time
async def test_a_sink_that_breaks_is_reported_once_and_the_call_goes_on() -> None:
    ends = pair()
    ends[1].session._sink._sink = RefusingSink()
    await open_call(*ends)
    assert (await ends[1].log.wait_for(SinkFailed)).sentence == "The disk is full."
    await until(lambda: ends[1].session.stats().audio.played > 10)
    assert len(ends[1].log.of(SinkFailed)) == 1
    await close_call(*ends)


# Legs


@pytest.mark.usefixtures("without_threads")
@in_virtual_time
async def test_silence_of_the_path_is_suspect_then_stalled_and_ends_when_packets_flow() -> None:
    ends = pair()
    await open_call(*ends)
    await ends[1].log.wait_for(Flowing)
    ends[0].path.is_up = False
    await ends[1].log.wait_for(Suspect)
    await ends[1].log.wait_for(Stalled)
    ends[0].path.is_up = True
    await until(lambda: len(ends[1].log.of(Flowing)) == 2)
    await close_call(*ends)


@pytest.mark.usefixtures("without_threads")
@in_virtual_time
async def test_media_moves_to_a_new_leg_and_goes_on() -> None:
    ends = pair()
    await open_call(*ends)
    await until(lambda: ends[1].session.stats().audio.played > 10)
    new = memory_paths(ends[0].path.local, ends[1].path.local)
    for end, path in zip(ends, new, strict=True):
        end.session.attach(path)
    for end in ends:
        end.path.is_up = False
    before = ends[1].session.stats().audio.played
    await until(lambda: ends[1].session.stats().audio.played > before + 20)
    stats = ends[1].session.stats()
    await close_call(*ends)
    assert stats.audio.concealed <= 3
    assert stats.frames_rejected == 0
    old_numbers = [int.from_bytes(packet[2:4], "big") for packet in rtp_of(ends[0].path, StreamKind.AUDIO)]
    new_numbers = [int.from_bytes(packet[2:4], "big") for packet in rtp_of(new[0], StreamKind.AUDIO)]
    overlap = (old_numbers[-1] + 1 - new_numbers[0]) % 65536
    assert overlap <= 3, "nothing is left out, and only what comes before the peer is heard goes over both"


@pytest.mark.usefixtures("without_threads")
@in_virtual_time
async def test_one_end_may_come_to_a_new_leg_late_or_never() -> None:
    ends = pair()
    await open_call(*ends)
    await until(lambda: ends[1].session.stats().audio.played > 10)
    never = memory_paths(ends[0].path.local, ends[1].path.local)
    late = memory_paths(ends[0].path.local, ends[1].path.local)
    ends[0].session.attach(never[0])
    before = [end.session.stats().audio.played for end in ends]
    await until(lambda: all(end.session.stats().audio.played > old + 10 for end, old in zip(ends, before, strict=True)))
    ends[0].session.attach(late[0])
    before = [end.session.stats().audio.played for end in ends]
    await until(lambda: all(end.session.stats().audio.played > old + 10 for end, old in zip(ends, before, strict=True)))
    ends[1].session.attach(late[1])
    await until(lambda: rtp_of(late[1], StreamKind.AUDIO))
    sent = len(ends[0].path.sent)
    await until(lambda: len(rtp_of(late[0], StreamKind.AUDIO)) > 20)
    assert len(ends[0].path.sent) <= sent + 2, "what goes over both legs does so until the peer is heard on the new one"
    stats = [end.session.stats() for end in ends]
    await close_call(*ends)
    assert all(each.audio.concealed <= 3 and each.frames_rejected == 0 for each in stats)
    assert not ends[1].log.of(Stalled)


@pytest.mark.usefixtures("without_threads")
@in_virtual_time
async def test_a_leg_with_other_streams_is_refused() -> None:
    ends = pair()
    engine = MediaEngine(SETTINGS)
    stranger, _ = memory_paths(ends[0].path.local, engine.new_streams())
    with pytest.raises(RemoteProtocolError):
        ends[0].session.attach(stranger)
    await close_call(*ends)


# The end


async def test_closing_stops_everything_and_repeats_harmlessly() -> None:
    ends = make_call((TestCardSource(128, 96, 30), silent()))
    await open_call(*ends)
    await ends[1].log.wait_for(FirstVideo)
    await close_call(*ends)
    await close_call(*ends)
    sent = len(ends[0].path.sent)
    assert all(end.sink.closed for end in ends)
    assert len(asyncio.all_tasks()) == 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("entrenous")]
    ends[1].path.deliver(ends[0].path.sent[0])
    assert len(ends[0].path.sent) == sent
    with pytest.raises(LocalProtocolError):
        ends[0].session.attach(ends[0].path)


class UnwritableSink(KeepingSink):
    async def close(self) -> None:
        raise MediaError("The disk is full.")


@pytest.mark.usefixtures("without_threads")
@in_virtual_time
async def test_a_sink_that_cannot_be_finished_is_told_after_everything_is_freed() -> None:
    ends = pair()
    await open_call(*ends)
    ends[1].session._sink = UnwritableSink()
    with pytest.raises(MediaError, match="disk"):
        await ends[1].session.close()
    await close_call(*ends)
    assert len(asyncio.all_tasks()) == 1
    assert ends[1].source.closed


async def test_a_hundred_sessions_leave_nothing_behind() -> None:
    async def one_call() -> None:
        ends = pair()
        await open_call(*ends)
        await until(lambda: len(ends[0].path.sent) > 0)
        await close_call(*ends)

    await one_call()
    gc.collect()  # what earlier tests left
    process = psutil.Process()
    before = (process.num_fds(), threading.active_count(), len(asyncio.all_tasks()))
    for _ in range(50):
        await one_call()
    after = (process.num_fds(), threading.active_count(), len(asyncio.all_tasks()))
    assert not [now - then for now, then in zip(after, before, strict=True) if now > then]


@pytest.mark.usefixtures("without_threads")
@in_virtual_time
async def test_the_headers_of_the_path_in_use_are_reckoned_with() -> None:
    ends = pair()
    try:
        await open_call(*ends)
        outlet = ends[0].session.outgoing.outlet
        assert outlet.overhead == 44
        ends[0].path.overhead = 84
        ends[0].session.path_changed()
        assert outlet.overhead == 84
    finally:
        await close_call(*ends)
