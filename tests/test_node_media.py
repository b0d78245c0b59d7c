"""Node: what is heard and seen in a call, muted, held and under keys that change, as events of both ends tell it."""

from __future__ import annotations

import asyncio

import pytest

from entrenous import (
    FirstMedia,
    PeerMedia,
    Rekeyed,
    StreamKind,
    TestCardSource,
    ToneSource,
)
from entrenous.crypto import call_secrets
from entrenous.crypto.sframe import FrameSealer
from lab.calls import until
from world.nodes import (
    PATIENCE,
    connected,
    event_of,
    plays_on,
    ringing,
    two_nodes,
)
from world.serverproc import ServerProcess


async def test_a_picture_is_announced_when_there_is_one(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, bob):
        for source, announced in ((TestCardSource(64, 64, 5), True), (ToneSource(440), False)):
            there = await alice.call(bob.address, send=source)
            here = await ringing(bob)
            assert (there.has_video, here.has_video) == (announced, announced)
            await there.hang_up()


async def test_mute_is_seen_by_the_peer(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, bob):
        there, here = await connected(alice, bob)
        there.mute(StreamKind.AUDIO, True)
        await event_of(here, PeerMedia, lambda media: media.audio_muted)
        there.mute(StreamKind.AUDIO, False)
        await event_of(here, PeerMedia, lambda media: not media.audio_muted)


async def test_camera_screen_and_hold_are_seen_by_the_peer(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, bob):
        there, here = await connected(alice, bob)
        assert not (await event_of(here, PeerMedia)).camera_on
        await there.send(TestCardSource(64, 48, 10), only=StreamKind.VIDEO)
        await event_of(here, FirstMedia, lambda first: first.kind is StreamKind.VIDEO)
        await there.share_screen(TestCardSource(64, 48, 10))
        shared = await event_of(here, PeerMedia, lambda media: media.screen_on)
        assert shared.camera_on
        await event_of(here, FirstMedia, lambda first: first.kind is StreamKind.SCREEN)
        there.hold(True)
        await event_of(here, PeerMedia, lambda media: media.held)
        there.hold(False)
        await there.send(None, only=StreamKind.VIDEO)
        gone = await event_of(here, PeerMedia, lambda media: not media.camera_on)
        assert gone == PeerMedia(False, False, False, True, False)


async def test_keys_are_renewed_in_a_live_call(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_secrets, "REKEY_SECONDS", 0.5)
    async with two_nodes(server) as (alice, bob):
        there, here = await connected(alice, bob)
        epochs = await asyncio.gather(
            event_of(there, Rekeyed, lambda event: event.epoch >= 2),
            event_of(here, Rekeyed, lambda event: event.epoch >= 2),
        )
        assert {event.epoch for event in epochs} == {2}
        await plays_on(there, there.stats().audio.played)
        assert there.stats().frames_rejected == here.stats().frames_rejected == 0
        heard = there.stats().audio
        assert heard.concealed <= 1 + heard.held_up_ms / 20, "but what a busy machine kept from being played"


async def test_a_peer_with_a_wrong_frame_key_plays_nothing(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = FrameSealer.rotate

    def wrong(self: FrameSealer, epoch: int, base_key: bytes) -> None:
        genuine(self, epoch, bytes(byte ^ 1 for byte in base_key))

    monkeypatch.setattr(FrameSealer, "rotate", wrong)
    async with two_nodes(server) as (alice, bob):
        there, here = await connected(alice, bob)
        await until(lambda: min(there.stats().frames_rejected, here.stats().frames_rejected) >= 25, PATIENCE)
        assert there.stats().audio.played == here.stats().audio.played == 0
