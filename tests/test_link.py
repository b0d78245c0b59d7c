"""Link: a session at work, against a real server and against servers that misbehave."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiohttp import web

from entrenous import RequestRefused, ServerUnreachable, Timeouts
from entrenous.account import credentials_of
from entrenous.link import Link
from entrenous_wire import codec
from entrenous_wire.addresses import Address
from entrenous_wire.messages import (
    Deliver,
    Error,
    ErrorCode,
    Hello,
    Kind,
    Letter,
    Published,
    RegistrationPolicy,
    Send,
)
from lab.calls import until
from world.linked import BODY, User, link_to, odd_server, opened
from world.nodes import PATIENCE, config
from world.serverproc import ServerProcess


async def test_a_body_travels_and_the_server_answers_requests(server: ServerProcess) -> None:
    async with opened(server, "alice") as (alice, _, _), opened(server, "bob") as (_, at_bob, bob):
        devices = await alice.fetch_devices(bob.address)
        assert devices.identity_key == bob.identity_key
        alice.send(str(bob.address), bob.device, b"c" * 16, Kind.SIGNAL, BODY)
        arrived = await at_bob.next()
        assert isinstance(arrived, Deliver)
        assert (arrived.kind, arrived.body) == (Kind.SIGNAL, BODY)
        with pytest.raises(RequestRefused) as refusal:
            await alice.fetch_devices(Address("nobody", server.name))
        assert refusal.value.code == "unknown-user"
        with pytest.raises(RequestRefused) as no_relay:
            await alice.fetch_turn()
        assert no_relay.value.code == "no-relay"


async def test_a_server_that_answers_something_else_is_still_asked(server: ServerProcess) -> None:
    async with opened(server, "alice") as (alice, _, me):
        fetching = asyncio.ensure_future(alice.fetch_devices(me.address))
        await asyncio.sleep(0)  # it asks, and the server has had no time yet
        (number,) = alice._answers
        dropped = alice.dropped
        alice._session.receive(Published(request=number), time.monotonic())
        assert alice.dropped == dropped + 1
        assert (await fetching).identity_key == me.identity_key


async def test_who_is_refused_for_longer_than_a_request_waits_is_told_for_how_long(server: ServerProcess) -> None:
    async with opened(server, "alice") as (alice, _, me):
        fetching = asyncio.ensure_future(alice.fetch_devices(me.address))
        await asyncio.sleep(0)  # it asks, and the server has had no time yet
        (number,) = alice._answers
        refusal = Error(code=ErrorCode.TOO_MANY, message="Not now.", request=number, retry_after=60.0)
        alice._session.receive(refusal, time.monotonic())
        alice._drain()
        with pytest.raises(RequestRefused, match="Not now") as refused:
            await fetching
        assert (refused.value.code, refused.value.retry_after) == ("too-many", 60.0)


async def test_a_body_for_a_device_that_never_was_fails(server: ServerProcess) -> None:
    async with opened(server, "alice") as (alice, at_alice, me):
        alice.send(f"ghost@{server.name}", "0011223344556677", b"c" * 16, Kind.RING, BODY)
        failed = await at_alice.next()
        assert isinstance(failed, Send)
        assert failed.to == f"ghost@{server.name}"
        assert me.address.user == "alice"


async def test_a_stored_body_waits_for_its_device_and_goes_when_it_is_taken(own_server: ServerProcess) -> None:
    async with opened(own_server, "alice") as (alice, at_alice, _):
        async with opened(own_server, "bob") as (_, at_bob, bob):
            async with asyncio.timeout(PATIENCE):
                await at_bob.letters_were_read.wait()
        alice.store(str(bob.address), bob.device, b"m" * 16, BODY)
        await until(lambda: alice._session.held == 0, PATIENCE)
        await own_server.kill()
        await own_server.start()
        for taking in (False, True):
            user = User()
            again = Link(config(own_server, None), credentials_of(bob), user)
            await again.open(PATIENCE)
            assert await user.next() == "up"
            letter = await user.next()
            assert isinstance(letter, Letter)
            assert (letter.id, letter.body) == (b"m" * 16, BODY)
            assert not user.letters_were_read.is_set()
            if taking:
                again.taken([letter.id])
                async with asyncio.timeout(PATIENCE):
                    await user.letters_were_read.wait()
            await again.close()
        assert alice.has_delivered(str(bob.address), bob.device)
        alice.store(str(bob.address), "0" * 16, b"n" * 16, BODY)
        while not isinstance(failed := await at_alice.next(), Send):
            pass
        assert failed.id == b"n" * 16


async def test_who_deletes_the_account_is_out_for_good(server: ServerProcess) -> None:
    async with opened(server, "alice") as (alice, at_alice, me):
        with pytest.raises(RequestRefused) as refusal:
            await alice.delete_account(lambda proof: me.stored.device.sign(b"", proof))
        assert refusal.value.code == "bad-signature"
        await alice.delete_account(lambda proof: me.stored.identity.sign(b"", proof))
        assert await at_alice.next() == ("closed", "The account was deleted.")
        with pytest.raises(RequestRefused) as unknown:
            await Link(config(server, None), credentials_of(me), User()).open(PATIENCE)
        assert unknown.value.code == "unknown-user"


async def test_what_was_said_while_the_server_was_gone_arrives_when_it_is_back(own_server: ServerProcess) -> None:
    async with opened(own_server, "alice") as (alice, at_alice, _), opened(own_server, "bob") as (_, at_bob, bob):
        await own_server.kill()
        assert (await at_alice.next())[0] == "lost"  # type: ignore[index]
        for number in range(5):
            alice.send(str(bob.address), bob.device, bytes([number]) * 16, Kind.SIGNAL, BODY)
        await own_server.start()
        arrived: list[int] = []
        while len(arrived) < 5:
            told = await at_bob.next()
            if isinstance(told, Deliver):
                arrived.append(told.call[0])
        assert arrived == [0, 1, 2, 3, 4]


async def test_closing_waits_for_the_last_words(server: ServerProcess) -> None:
    async with opened(server, "alice") as (alice, _, _), opened(server, "bob") as (_, at_bob, bob):
        alice.send(str(bob.address), bob.device, b"c" * 16, Kind.END, BODY)
        await alice.close(flush=PATIENCE)
        assert isinstance(await at_bob.next(), Deliver)
        assert "over" in repr(alice)


async def test_a_network_that_comes_back_ends_the_pause(own_server: ServerProcess) -> None:
    patient = Timeouts(backoff=600.0, backoff_limit=600.0)
    async with opened(own_server, "alice", patient) as (alice, user, _):
        await own_server.stop()
        assert isinstance(await user.next(), tuple)
        await own_server.start()
        alice.network_changed()
        assert await user.next() == "up"


async def test_a_link_that_is_closed_does_not_care_for_the_network(server: ServerProcess) -> None:
    async with opened(server, "alice") as (alice, user, _):
        await alice.close()
        alice.network_changed()
        assert user.told.empty()


async def test_a_server_of_another_name_gets_no_signature() -> None:
    heard: list[str] = []

    async def greet(socket: web.WebSocketResponse) -> None:
        hello = Hello(server="evil.example.org", nonce=bytes(32), versions=[1], registration=RegistrationPolicy.OPEN)
        await socket.send_str(codec.encode(hello))
        async for message in socket:
            heard.append(message.data)

    async with odd_server(greet) as settings:
        with pytest.raises(ServerUnreachable, match="nothing was signed"):
            await link_to(settings).open(PATIENCE)
    assert heard == []


@pytest.mark.parametrize("frame", ["nonsense", "{}", '{"type":"hello"}', "[" * 50_000, '{"type":"hello","nonce":7}'])
async def test_a_server_that_talks_nonsense_is_given_up_in_time(frame: str) -> None:
    async def babble(socket: web.WebSocketResponse) -> None:
        await socket.send_str(frame)
        await socket.receive()

    async with odd_server(babble) as settings:
        with pytest.raises(ServerUnreachable, match="did not let us in in time"):
            await link_to(settings).open(0.4)


async def test_a_user_that_fails_to_take_a_message_gets_the_next_one(server: ServerProcess) -> None:
    async with opened(server, "alice") as (alice, _, _), opened(server, "bob") as (_, at_bob, bob):
        genuine = at_bob.message_arrived

        def take(message: Deliver) -> None:
            if message.call == b"a" * 16:
                raise ZeroDivisionError
            genuine(message)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(at_bob, "message_arrived", take)
            for call in (b"a" * 16, b"b" * 16):
                alice.send(str(bob.address), bob.device, call, Kind.SIGNAL, BODY)
            arrived = await at_bob.next()
        assert isinstance(arrived, Deliver)
        assert arrived.call == b"b" * 16
