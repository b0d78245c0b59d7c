"""CallMedia: source, sink and gate of one call, with real codecs over a path in memory."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from entrenous.call_media import CALL_STREAMS, CallMedia, sent_by
from entrenous.crypto.call_secrets import CallSecrets, Root, Side
from entrenous.crypto.handshake_messages import commitment
from entrenous.crypto.messages import Reveal
from entrenous.errors import DeviceError, LocalProtocolError, VerificationError
from entrenous.events import MediaProblem, PeerMedia, SendingEnded
from entrenous.media.device_changes import Tell
from entrenous.media.devices import DeviceChange, Direction
from entrenous.media.engine import Leg as Connection
from entrenous.media.engine import MediaEngine
from entrenous.media.session import CallSession
from entrenous.media.sources import TestCardSource
from entrenous.media.streams import StreamKind
from lab.calls import SETTINGS, KeepingSink, SoundSource, memory_paths, until

CALL = b"c" * 16


class Watcher:
    """Remembers what happens to the media."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.changes = 0

    def media_stalled(self) -> None:
        self.told.append("stalled")

    def media_flows(self) -> None:
        self.told.append("flows")

    def first_media(self, kind: StreamKind, at: float) -> None:
        self.told.append(("first", kind))

    def media_changed(self) -> None:
        self.changes += 1

    def media_event(self, event: SendingEnded | MediaProblem | DeviceChange) -> None:
        self.told.append(event)


def both_secrets() -> tuple[CallSecrets, CallSecrets]:
    nonce_a, nonce_b, root = os.urandom(32), os.urandom(32), os.urandom(32)
    caller = CallSecrets(Side.CALLER, CALL, Root(0, root), nonce_a, nonce_b, os.urandom)
    callee = CallSecrets(Side.CALLEE, CALL, Root(0, root), nonce_b, commitment(nonce_a), os.urandom)
    assert isinstance(callee.receive(caller.reveal()), Reveal)
    return caller, callee


def tone(seconds: float) -> np.ndarray:
    return (np.sin(np.arange(int(48_000 * seconds)) * 2 * np.pi * 440 / 48_000) * 8000).astype(np.int16)


class Ends:
    """Two ends of a call whose packets go through memory."""

    def __init__(self, seconds: float = 5.0) -> None:
        engine = MediaEngine(SETTINGS)
        self.watchers = (Watcher(), Watcher())
        self.media = tuple(CallMedia(engine, watcher) for watcher in self.watchers)
        self.sources = tuple(SoundSource(tone(seconds)) for _ in self.media)
        self.sinks = tuple(KeepingSink() for _ in self.media)
        for media, source, sink in zip(self.media, self.sources, self.sinks, strict=True):
            media.source, media.sink = source, sink
        self.paths = memory_paths(self.media[0].streams, self.media[1].streams)

    async def open(self) -> None:
        for media, secrets in zip(self.media, both_secrets(), strict=True):
            await media.open(secrets)

    def connection(self, end: int) -> Connection:
        return cast(Connection, self.paths[end])

    async def close(self) -> None:
        await asyncio.gather(*(media.close() for media in self.media))


async def test_nothing_passes_before_the_gate_and_sound_flows_after() -> None:
    ends = Ends()
    await ends.open()
    assert ends.sources[0].started
    assert ends.sinks[0].started
    assert ends.paths[0].sent == ends.paths[1].sent == []
    await asyncio.gather(*(media.open_gate(ends.connection(end)) for end, media in enumerate(ends.media)))
    await until(lambda: all(("first", StreamKind.AUDIO) in watcher.told for watcher in ends.watchers))
    await ends.close()
    assert ends.sources[0].closed
    assert ends.sinks[0].closed
    assert ends.media[0].stats().audio.sent > 0


async def test_the_gate_waits_for_source_and_sink() -> None:
    ends = Ends()
    opening = asyncio.ensure_future(ends.media[0].open_gate(ends.connection(0)))
    await asyncio.sleep(0)
    assert not opening.done()
    await ends.open()
    await opening
    await ends.close()


async def test_the_gate_opens_on_the_connection_that_the_call_moved_to_meanwhile() -> None:
    ends = Ends()
    newer = memory_paths(ends.media[0].streams, ends.media[1].streams)
    opening = asyncio.ensure_future(ends.media[0].open_gate(ends.connection(0)))
    await asyncio.sleep(0)
    ends.media[0].move(cast(Connection, newer[0]))
    await ends.open()
    await opening
    await until(lambda: len(newer[0].sent) > 3)
    assert ends.paths[0].sent == []
    await ends.close()


async def test_closing_before_opening_leaves_nobody_waiting_for_the_gate() -> None:
    ends = Ends()
    opening = asyncio.ensure_future(ends.media[0].open_gate(ends.connection(0)))
    await asyncio.sleep(0)
    await ends.close()
    async with asyncio.timeout(60.0):
        await opening


async def test_a_source_that_does_not_open_is_told_and_nothing_stays_open() -> None:
    class Broken(SoundSource):
        async def start(self) -> None:
            raise DeviceError("There is no microphone.")

    ends = Ends()
    ends.media[0].source = Broken(tone(1.0))
    with pytest.raises(DeviceError, match="no microphone"):
        await ends.media[0].open(both_secrets()[0])
    await ends.close()


async def test_media_without_keys_do_not_open() -> None:
    callee = CallSecrets(Side.CALLEE, CALL, Root(0, bytes(32)), bytes(32), commitment(b"x" * 32), os.urandom)
    ends = Ends()
    with pytest.raises(LocalProtocolError, match="no frame may pass"):
        await ends.media[1].open(callee)
    assert not ends.sources[1].started
    await ends.close()


async def test_closing_before_opening_opens_nothing() -> None:
    ends = Ends()
    await ends.close()
    await ends.open()
    assert not ends.sources[0].started


async def test_mute_is_remembered_for_a_session_that_does_not_exist_yet() -> None:
    ends = Ends()
    ends.media[0].mute(StreamKind.AUDIO, True)
    with pytest.raises(LocalProtocolError, match="screen"):
        ends.media[0].mute(StreamKind.SCREEN, True)
    await ends.open()
    await asyncio.gather(*(media.open_gate(ends.connection(end)) for end, media in enumerate(ends.media)))
    await until(lambda: ends.media[1].stats().audio.played > 20)
    await ends.close()
    heard = ends.sinks[1].sound
    assert np.abs(heard).max() < 100, "a muted end is silent from the first packet on"
    assert np.abs(ends.sinks[0].sound).max() > 4000


async def test_choices_go_over_to_the_call_that_crossed() -> None:
    ends = Ends()
    ends.media[0].mute(StreamKind.VIDEO, True)
    other = CallMedia(MediaEngine(SETTINGS), Watcher())
    other.choose_like(ends.media[0])
    assert (other.source, other.sink) == (ends.sources[0], ends.sinks[0])
    assert other.muted[StreamKind.VIDEO]


async def test_a_source_that_ends_and_a_path_that_breaks_are_told() -> None:
    ends = Ends(seconds=0.2)
    await ends.open()
    await asyncio.gather(*(media.open_gate(ends.connection(end)) for end, media in enumerate(ends.media)))
    await until(lambda: SendingEnded(StreamKind.AUDIO) in ends.watchers[0].told)
    ends.paths[1].is_up = False
    await until(lambda: "stalled" in ends.watchers[0].told)
    ends.paths[1].is_up = True
    await until(lambda: "flows" in ends.watchers[0].told)
    await ends.close()


async def test_a_change_of_device_is_told() -> None:
    class Microphone(SoundSource):
        def tell_device_changes(self, tell: Tell) -> None:
            self.tell = tell

    ends, microphone = Ends(), Microphone(tone(1.0))
    ends.media[0].source = microphone
    await ends.open()
    change = DeviceChange(Direction.MICROPHONE, "Desk", wanted=False)
    microphone.tell(change)
    assert ends.watchers[0].told == [change]
    await ends.close()


@pytest.mark.parametrize(
    ("video_muted", "camera", "screen", "held", "sent"),
    [
        (False, True, True, False, {StreamKind.VIDEO, StreamKind.SCREEN}),
        (True, True, False, False, set()),
        (False, False, True, False, {StreamKind.SCREEN}),
        (False, True, True, True, set()),
    ],
)
def test_what_comes_from_a_peer_that_has_switched_things_off(
    video_muted: bool, camera: bool, screen: bool, held: bool, sent: set[StreamKind]
) -> None:
    assert sent_by(PeerMedia(True, video_muted, camera, screen, held)) == sent | {StreamKind.AUDIO}


async def test_what_the_peer_says_is_off_is_not_decoded_whether_it_says_so_early_or_late() -> None:
    ends = Ends()
    off = PeerMedia(False, False, False, True, False)
    ends.media[0].peer_switched(off)
    await flowing(ends)
    session = cast(CallSession, ends.media[0]._session)
    video, screen = session.video_receiver, session.screen_receiver
    assert video is not None
    assert screen is not None
    assert (video._is_idle, screen._is_idle) == (True, False)
    ends.media[0].peer_switched(replace(off, camera_on=True, screen_on=False))
    assert (video._is_idle, screen._is_idle) == (False, True)
    await ends.close()


async def flowing(ends: Ends) -> None:
    await ends.open()
    await asyncio.gather(*(media.open_gate(ends.connection(end)) for end, media in enumerate(ends.media)))


async def test_what_is_switched_is_told_with_rising_numbers() -> None:
    ends = Ends()
    media, watcher = ends.media[0], ends.watchers[0]
    await flowing(ends)
    assert watcher.changes == 1
    first = media.state()
    assert (first.audio_muted, first.camera_on, first.screen_on, first.held) == (False, False, False, False)
    await media.send(TestCardSource(64, 48, 10), StreamKind.VIDEO)
    await media.share_screen(TestCardSource(64, 48, 10))
    media.mute(StreamKind.VIDEO, True)
    media.hold(True)
    state = media.state()
    assert (state.camera_on, state.screen_on, state.video_muted, state.held) == (True, True, True, True)
    assert state.number > first.number
    assert watcher.changes == 5
    media.hold(False)
    await media.send(None, StreamKind.VIDEO)
    await media.share_screen(None)
    state = media.state()
    assert (state.camera_on, state.screen_on, state.held) == (False, False, False)
    assert not ends.sources[0].closed, "the microphone goes on"
    media.move(ends.connection(0))
    assert watcher.changes == 9
    await ends.close()


async def test_sources_are_switched_only_in_a_live_call() -> None:
    ends = Ends()
    media = ends.media[0]
    with pytest.raises(LocalProtocolError):
        await media.send(SoundSource(), None)
    await flowing(ends)
    with pytest.raises(LocalProtocolError, match="beside"):
        await media.send(SoundSource(), StreamKind.SCREEN)
    await media.send(None, None)
    assert ends.sources[0].closed
    await ends.close()
    with pytest.raises(LocalProtocolError):
        await media.share_screen(TestCardSource(64, 48, 10))


async def test_the_frame_keys_of_each_stream_are_its_own() -> None:
    caller, callee = both_secrets()
    for kind in CALL_STREAMS:
        sealed = caller.sealer(kind.value).seal(b"frame")
        assert callee.opener(kind.value).open(sealed, now=0.0) == b"frame"
        for other in set(CALL_STREAMS) - {kind}:
            with pytest.raises(VerificationError):
                callee.opener(other.value).open(sealed, now=0.0)
    assert set(CALL_STREAMS) == set(StreamKind)


async def test_hold_is_remembered_for_a_session_that_does_not_exist_yet() -> None:
    ends = Ends()
    ends.media[0].hold(True)
    await flowing(ends)
    await until(lambda: ends.media[1].stats().audio.played > 20)
    await ends.close()
    assert np.abs(ends.sinks[1].sound).max() < 100
    assert ends.sinks[0].heard == []
