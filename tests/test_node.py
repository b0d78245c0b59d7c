"""Node: whole calls between nodes in this process, over a real server in its own."""

from __future__ import annotations

import asyncio
import threading
import time

import psutil
import pytest

from entrenous import (
    CallEnded,
    CallState,
    ConfigError,
    ContactError,
    EndReason,
    FirstMedia,
    IdentityChanged,
    KeyChanged,
    LocalProtocolError,
    MissedCall,
    Node,
    RequestRefused,
    Stage,
    Strangers,
    StreamKind,
    Timeouts,
    ToneSource,
    WordsKnown,
    WrongPassphrase,
)
from entrenous.crypto.identity import CERTIFICATE_SECONDS, RENEW_SECONDS
from entrenous.crypto.keystore import InMemoryKeystore
from lab.calls import until
from world.nodes import (
    PATIENCE,
    config,
    connected,
    event_of,
    events_until_ended,
    notices_until,
    records,
    ringing,
    second_device,
    two_nodes,
)
from world.serverproc import ServerProcess


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
                told = [notice async for notice in notices_until(bob_soon, MissedCall)]
            assert told[-1] == MissedCall(alice.address)


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
            told = [notice async for notice in notices_until(alice, KeyChanged)]
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
