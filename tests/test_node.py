"""Node: whole calls between nodes in this process, over a real server in its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from entrenous import (
    Call,
    CallEnded,
    CallState,
    Cause,
    ConfigError,
    ContactError,
    EndReason,
    FirstMedia,
    IdentityChanged,
    KeyChanged,
    LocalProtocolError,
    MissedCall,
    Node,
    PathChanged,
    PeerMedia,
    Rekeyed,
    RequestRefused,
    ServerBack,
    ServerLost,
    ServerUnreachable,
    Side,
    Stage,
    Strangers,
    StreamKind,
    TestCardSource,
    Timeouts,
    ToneSource,
    WordsKnown,
    WrongPassphrase,
)
from entrenous.crypto import call_secrets
from entrenous.crypto.identity import CERTIFICATE_SECONDS, RENEW_SECONDS
from entrenous.crypto.keystore import InMemoryKeystore
from entrenous.crypto.sframe import FrameSealer
from entrenous.link import Link
from entrenous.media.events import LegPath, LegStage, PathFailure, PathKind
from entrenous.media.events import PathChanged as LegMoved
from entrenous.media.transport.leg import TransportLeg
from lab.calls import until
from world.nodes import (
    PATIENCE,
    config,
    connected,
    event_of,
    events_until_ended,
    ringing,
    second_device,
    two_nodes,
)
from world.serverproc import ServerProcess, running_server


def records(server: ServerProcess) -> list[dict[str, object]]:
    """What the server's own command says that it kept."""
    command = [sys.executable, "-m", "entrenous_signaling", "calls", f"--data={server.data}", "--json"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


async def test_a_call_is_heard_at_both_ends_and_leaves_one_record(own_server: ServerProcess) -> None:
    async with two_nodes(own_server) as (alice, bob):
        there, here = await connected(alice, bob)
        await asyncio.gather(
            event_of(there, FirstMedia, lambda event: event.kind is StreamKind.AUDIO),
            event_of(here, FirstMedia, lambda event: event.kind is StreamKind.AUDIO),
        )
        assert there.words is not None
        assert there.words == here.words
        assert (there.path, here.path) == ("direct", "direct")
        assert there.verified
        assert here.verified
        await there.hang_up()
        async with asyncio.timeout(PATIENCE):
            outcome = await here.wait_ended()
        assert there.outcome is not None
        assert (there.outcome.reason, outcome.reason) == (EndReason.LOCAL, EndReason.REMOTE)
        assert outcome.stage is Stage.MEDIA
        assert there.stats().audio.played > 0
        assert there.stats().frames_rejected == 0
        with pytest.raises(CallEnded):
            await there.accept()
    (record,) = records(own_server)
    assert sorted(record) == ["duration", "start"]


async def test_a_declined_call_says_so_at_once(own_server: ServerProcess) -> None:
    async with two_nodes(own_server) as (alice, bob):
        there = await alice.call(bob.address)
        here = await ringing(bob)
        await here.decline()
        async with asyncio.timeout(PATIENCE):
            outcome = await there.wait_ended()
        assert outcome.reason is EndReason.DECLINED
        assert outcome.sentence == f"{bob.address} declined the call."
        assert outcome.seconds is None
    assert records(own_server) == []


async def test_hanging_up_before_anyone_answers_stops_the_ringing(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, bob):
        there = await alice.call(bob.address)
        here = await ringing(bob)
        await there.hang_up()
        async with asyncio.timeout(PATIENCE):
            assert (await here.wait_ended()).reason is EndReason.CANCELLED


async def test_nobody_answers(server: ServerProcess) -> None:
    async with two_nodes(server, timeouts=Timeouts(ring=1.0)) as (alice, bob):
        there = await alice.call(bob.address)
        here = await ringing(bob)
        async with asyncio.timeout(PATIENCE):
            assert (await there.wait_ended()).reason is EndReason.UNANSWERED
            assert (await here.wait_ended()).reason in (EndReason.MISSED, EndReason.CANCELLED)


async def test_a_missed_call_is_told(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, bob):
        bob_soon = Node(config(server, None), profile=bob.profile, timeouts=Timeouts(ring=0.5))
        await bob.close()
        async with bob_soon:
            await alice.call(bob_soon.address)
            async with asyncio.timeout(PATIENCE):
                told = [notice async for notice in _until(bob_soon, MissedCall)]
            assert told[-1] == MissedCall(alice.address)


async def _until(node: Node, kind: type) -> AsyncIterator[object]:
    async for notice in node.notices():
        yield notice
        if isinstance(notice, kind):
            return


async def test_a_third_person_hears_busy(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, bob), Node(config(server, "carol")) as carol:
        bob.contacts.add(str(carol.card))
        carol.contacts.add(str(bob.card))
        there, here = await connected(alice, bob)
        call = await carol.call(bob.address)
        async with asyncio.timeout(PATIENCE):
            assert (await call.wait_ended()).reason is EndReason.BUSY
        assert (there.state, here.state) == (CallState.ACTIVE, CallState.ACTIVE)
        with pytest.raises(LocalProtocolError, match="end it before"):
            await alice.call(bob.address)


async def test_both_call_each_other_at_once_and_meet_in_one_call(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, bob):
        there, here = await asyncio.gather(
            alice.call(bob.address, send=ToneSource(440)), bob.call(alice.address, send=ToneSource(660))
        )
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(there.wait_active(), here.wait_active())
        assert there.id == here.id
        assert there.words == here.words
        await there.hang_up()
        async with asyncio.timeout(PATIENCE):
            assert (await here.wait_ended()).reason is EndReason.REMOTE


async def test_another_device_stops_ringing_when_one_answers(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, bob), Node(config(server, None), profile=second_device(bob)) as tablet:
        there = await alice.call(bob.address, send=ToneSource(440))
        at_bob, at_tablet = await asyncio.gather(ringing(bob), ringing(tablet))
        await at_tablet.accept(send=ToneSource(660))
        async with asyncio.timeout(PATIENCE):
            assert (await at_bob.wait_ended()).reason is EndReason.ELSEWHERE
            await asyncio.gather(there.wait_active(), at_tablet.wait_active())
        assert there.words == at_tablet.words


async def test_somebody_who_does_not_exist_is_named_at_once(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, _), Node(config(server, "carol")) as carol:
        alice.contacts.add(str(carol.card))
        with pytest.raises(ContactError, match="not among your contacts"):
            await alice.call(f"dave@{server.name}")
        alice.contacts.add(f"dave@{server.name}")
        call = await alice.call(f"dave@{server.name}")
        async with asyncio.timeout(PATIENCE):
            assert (await call.wait_ended()).reason is EndReason.UNKNOWN_USER


async def test_whoever_went_offline_is_reported_at_once(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, bob):
        await bob.close()
        call = await alice.call(bob.address)
        async with asyncio.timeout(PATIENCE):
            assert (await call.wait_ended()).reason is EndReason.OFFLINE


async def test_a_device_that_goes_offline_while_it_rings_leaves_the_others_ringing(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, bob), Node(config(server, None), profile=second_device(bob)) as tablet:
        there = await alice.call(bob.address, send=ToneSource(440))
        _, at_tablet = await asyncio.gather(ringing(bob), ringing(tablet))
        await bob.close()
        await at_tablet.accept(send=ToneSource(660))
        async with asyncio.timeout(PATIENCE):
            await there.wait_active()


async def test_a_stranger_does_not_ring_and_learns_nothing(server: ServerProcess) -> None:
    async with two_nodes(server) as (_, bob), Node(config(server, "eve"), timeouts=Timeouts(ring=1.0)) as eve:
        eve.contacts.add(str(bob.card))
        call = await eve.call(bob.address)
        async with asyncio.timeout(PATIENCE):
            assert (await call.wait_ended()).reason is EndReason.UNANSWERED
        assert bob.dropped >= 1


async def test_a_stranger_rings_where_the_user_wants_it_and_is_marked(server: ServerProcess) -> None:
    async with two_nodes(server, strangers=Strangers.RING) as (_, bob), Node(config(server, "eve")) as eve:
        eve.contacts.add(f"bob@{server.name}")
        call = await eve.call(bob.address, send=ToneSource(440))
        here = await ringing(bob)
        assert here.contact is None
        assert not here.verified
        await here.accept(send=ToneSource(660))
        words = await event_of(here, WordsKnown)
        assert not words.verified
        async with asyncio.timeout(PATIENCE):
            await call.wait_active()
        assert eve.contacts.get(bob.address).fingerprint == bob.card.fingerprint


async def test_a_changed_key_blocks_the_call_until_it_is_accepted(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, bob):
        alice.contacts.remove(bob.address)
        alice.contacts.add(f"entrenous:{bob.address}#{alice.card.fingerprint}")
        call = await alice.call(bob.address)
        async with asyncio.timeout(PATIENCE):
            outcome = await call.wait_ended()
            told = [notice async for notice in _until(alice, KeyChanged)]
        assert (outcome.reason, outcome.stage) == (EndReason.FAILED, Stage.KEYS)
        assert "accept-new-key" in outcome.sentence
        assert told[-1] == KeyChanged(bob.address, bob.card.fingerprint)
        with pytest.raises(IdentityChanged):
            await alice.call(bob.address)
        alice.contacts.accept_new_key(bob.address)
        there = await alice.call(bob.address)
        here = await ringing(bob)
        await here.decline()
        async with asyncio.timeout(PATIENCE):
            assert (await there.wait_ended()).reason is EndReason.DECLINED


async def test_a_call_survives_the_death_of_the_server_and_is_counted_once(own_server: ServerProcess) -> None:
    begun = time.monotonic()
    async with two_nodes(own_server) as (alice, bob):
        there, here = await connected(alice, bob)
        await until(lambda: bob.has_delivered(alice.me), PATIENCE)  # the accept, which also goes past the server
        counted = time.monotonic()
        await own_server.kill()
        lost = asyncio.ensure_future(_seen(alice, ServerLost))
        async with asyncio.timeout(PATIENCE):
            await lost
        played = there.stats().audio.played
        await _plays_on(there, played)
        assert (there.state, here.state) == (CallState.ACTIVE, CallState.ACTIVE)
        await own_server.start()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(_seen(alice, ServerBack), _seen(bob, ServerBack))
        over = time.monotonic()
        await there.hang_up()
        async with asyncio.timeout(PATIENCE):
            outcome = await here.wait_ended()
        assert outcome.reason is EndReason.REMOTE
    (record,) = records(own_server)
    # The server counts from whole second to whole second.
    assert over - counted - 1.0 < float(str(record["duration"])) < time.monotonic() - begun + 1.0


async def _seen(node: Node, kind: type) -> None:
    async for _ in _until(node, kind):
        pass


async def _plays_on(call: Call, played: int) -> None:
    await until(lambda: call.stats().audio.played >= played + 25, PATIENCE)


async def test_hanging_up_without_a_server_reaches_the_other_end(own_server: ServerProcess) -> None:
    async with two_nodes(own_server) as (alice, bob):
        there, here = await connected(alice, bob)
        await own_server.kill()
        await there.hang_up()
        async with asyncio.timeout(PATIENCE):
            assert (await here.wait_ended()).reason is EndReason.REMOTE
        await own_server.start()


async def test_the_first_session_is_not_told_as_a_return(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, _):
        await alice.close()
        assert [notice async for notice in alice.notices()] == []


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
        await _plays_on(there, there.stats().audio.played)
        assert there.stats().frames_rejected == here.stats().frames_rejected == 0
        assert there.stats().audio.concealed <= 1


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


async def test_renewed_keys_are_shown_to_the_server(server: ServerProcess) -> None:
    async with two_nodes(server) as (alice, bob):
        before = bob.profile.stored.certificate
        later = time.time() + CERTIFICATE_SECONDS - RENEW_SECONDS + 60
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("entrenous.profile.time.time", lambda: later)
            bob._look_after_keys()
        assert bob.profile.stored.certificate != before
        await until(lambda: len(bob._tasks) == 0, PATIENCE)
        (device,) = (await alice._running_link().fetch_devices(bob.address)).devices
        assert device.certificate == bob.profile.stored.certificate
        assert device.prekey == bob.profile.stored.prekeys[0].signed
        await connected(alice, bob)


async def test_a_keystore_that_cannot_be_written_is_said_and_tried_again(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: InMemoryKeystore, __: object) -> None:
        raise WrongPassphrase("the passphrase of bob has been changed")

    async with Node(config(server, "bob")) as bob:
        timer = bob._refresh
        monkeypatch.setattr(InMemoryKeystore, "update", refuse)
        bob._look_after_keys()
        assert bob._refresh is not timer
        assert "keys could not be renewed: WrongPassphrase" in caplog.text
        assert "bob" not in caplog.text


async def test_a_server_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entrenous.account.REGISTER_SECONDS", 0.5)
    async with running_server(tmp_path) as gone:
        pass
    with pytest.raises(ServerUnreachable, match="cannot be reached"):
        async with Node(config(gone, "alice")):
            pass


async def test_a_name_is_registered_once(server: ServerProcess) -> None:
    async with Node(config(server, "alice")):
        with pytest.raises(RequestRefused) as refusal:
            async with Node(config(server, "alice")):
                pass
        assert refusal.value.code == "name-taken"


async def test_a_node_needs_an_account(server: ServerProcess) -> None:
    with pytest.raises(ConfigError, match="profile, or a username"):
        async with Node(config(server, None)):
            pass


async def test_a_hundred_calls_leave_nothing_behind(server: ServerProcess) -> None:
    process = psutil.Process()
    async with two_nodes(server) as (alice, bob):
        await _one_call(alice, bob)
        before = (len(asyncio.all_tasks()), threading.active_count(), process.num_fds())
        for _ in range(100):
            await _one_call(alice, bob)
        await _settled(before, process)


async def _one_call(alice: Node, bob: Node) -> None:
    there, here = await connected(alice, bob)
    await there.hang_up()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(events_until_ended(there), here.wait_ended())


async def _settled(before: tuple[int, int, int], process: psutil.Process) -> None:
    """Everything of the last call is gone once its last words are delivered."""

    def grown() -> list[int]:
        after = (len(asyncio.all_tasks()), threading.active_count(), process.num_fds())
        return [now - then for now, then in zip(after, before, strict=True) if now > then]

    await until(lambda: not grown(), PATIENCE)


async def test_what_the_network_does_is_told_to_the_legs_and_the_link(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(TransportLeg, "network_changed", lambda leg: told.append("leg"))
    monkeypatch.setattr(Link, "network_changed", lambda link: told.append("link"))
    async with two_nodes(server) as (alice, bob):
        await connected(alice, bob)
        alice._network._on_change()
        assert told == ["leg", "link"], "media first"


async def test_a_leg_that_moves_is_told_and_makes_the_link_prove_itself(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubted: list[Link] = []
    monkeypatch.setattr(Link, "doubt", lambda link: doubted.append(link))
    async with two_nodes(server) as (alice, bob):
        there, _ = await connected(alice, bob)
        (conversation,) = alice._conversations.values()
        used = conversation._media_leg
        assert used is not None
        relayed = LegPath(PathKind.RELAY, "relay", "host", "udp", 48)
        conversation._legs._event(used, LegMoved(relayed))
        assert there.path == "relay"
        assert (await event_of(there, PathChanged)).path == "relay"
        conversation._legs._event(used._replace(generation=7), LegMoved(replace(relayed, kind=PathKind.DIRECT)))
        assert there.path == "relay", "another leg than the one that carries media"
        assert doubted[0] is alice._link


async def test_dialling_without_a_server_fails_with_the_reason_and_not_before_it_had_a_chance(
    own_server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.node.AWAY_SECONDS", 0.2)
    async with two_nodes(own_server) as (alice, bob):
        await own_server.stop()
        await until(lambda: alice._away, PATIENCE)
        there = await alice.call(bob.address)
        async with asyncio.timeout(PATIENCE):
            outcome = await there.wait_ended()
        assert (outcome.reason, outcome.stage) == (EndReason.FAILED, Stage.KEYS)
        assert (outcome.cause, outcome.side) == (Cause.SERVER_UNREACHABLE, Side.HERE)
        assert "Check your network" in outcome.sentence


async def test_both_ends_of_a_failed_call_name_stage_and_cause(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that finds it out says so, and whose side it is on."""

    async def never(leg: TransportLeg, fingerprint: str) -> None:
        leg._fail(LegStage.PATH, "It cannot be.", PathFailure.RELAY_REFUSED)

    monkeypatch.setattr(TransportLeg, "_connect", never)
    async with two_nodes(server) as (alice, bob):
        there = await alice.call(bob.address, send=ToneSource(440))
        here = await ringing(bob)
        await here.accept(send=ToneSource(660))
        async with asyncio.timeout(PATIENCE):
            outcomes = await asyncio.gather(there.wait_ended(), here.wait_ended())
    for outcome in outcomes:
        assert (outcome.reason, outcome.stage) == (EndReason.FAILED, Stage.PATH)
        assert outcome.cause is Cause.RELAY_REFUSED
        assert "turned us away" in outcome.sentence or "was turned away" in outcome.sentence
    assert Side.HERE in {outcome.side for outcome in outcomes}
