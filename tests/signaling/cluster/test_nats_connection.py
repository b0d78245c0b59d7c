"""One connection to a NATS server: over TLS or not at all, refused with its reason, and never waited for."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from entrenous_signaling.cluster import nats_connection
from entrenous_signaling.cluster.nats_connection import PENDING_BYTES, NatsAccess, Trouble
from entrenous_signaling.cluster.nats_protocol import Credentials
from entrenous_signaling.cluster.settings import NatsPlace
from lab.certificates import Authority, write
from lab.nats import needs_nats, running_nats
from world.natsworld import ALL, INFO, INFO_TLS, OTHER, OWN, Scripted, access, listening, trouble_of


@needs_nats
async def test_a_server_that_falls_silent_is_given_up_and_what_it_does_not_read_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_nats(tmp_path) as server:
        async with listening(access(server), ALL) as (bus, ear):
            await ear.until("connected")
            with server.frozen():
                taken = 0
                while bus.publish(ALL, bytes(500_000)):
                    taken += 500_000
                assert PENDING_BYTES / 2 < taken < 8 * PENDING_BYTES  # and what the system buffers
                monkeypatch.setattr(nats_connection, "BEAT_SECONDS", 0.02)
                await ear.until("lost")
                assert not bus.is_connected
            await ear.until("connected")


@needs_nats
async def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    for number, (options, trouble) in enumerate(
        (({"prefix": "another"}, Trouble.PERMISSIONS), ({"more": "max_payload: 100000"}, Trouble.TOO_SMALL))
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        with running_nats(folder, **options) as server:  # type: ignore[arg-type]  # each fits its parameter
            assert await trouble_of(NatsPlace.parse(server.url), access(server)) is trouble


async def carried(reached: NatsAccess) -> bool:
    """Whether parcels go from one node to another."""
    async with listening(reached, ALL, OWN) as (one, ear), listening(reached, ALL, OTHER) as (_, ear_two):
        await ear.until("connected")
        await ear_two.until("connected")
        parcels = [bytes([number]) * 100_000 for number in range(5)]
        sent = [one.publish(OTHER, parcel) for parcel in parcels]
        await ear_two.until(*((OTHER, parcel) for parcel in parcels))
    return all(sent)


@needs_nats
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_over_tls_the_certificate_must_fit(new_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path) -> None:
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    trusting = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    with running_nats(tmp_path, write(tmp_path, authority.issue("127.0.0.1"))) as server:
        place = NatsPlace.parse(server.url)
        with asyncio.Runner(loop_factory=new_loop) as runner:
            assert runner.run(carried(access(server, tls=trusting)))
            assert runner.run(trouble_of(place, access(server))) is Trouble.UNTRUSTED
            elsewhere = NatsPlace("localhost", place.port, tls=True)
            assert runner.run(trouble_of(elsewhere, access(server, tls=trusting))) is Trouble.UNTRUSTED


async def test_without_tls_no_word_is_said_to_who_should_speak_it() -> None:
    script = Scripted(INFO)
    async with script.running(tls=True) as place:
        assert await trouble_of(place, NatsAccess([place], Credentials.parse("node:hush"))) is Trouble.NO_TLS
        await script.ended.wait()
    assert script.heard == b""


@pytest.mark.parametrize("words", [b"PONG\r\n", b"MSG entrenous.all 1 1\r\nx\r\n", b"PON"])
async def test_words_that_were_said_before_tls_are_not_taken_for_said_over_it(words: bytes) -> None:
    script = Scripted(INFO_TLS + words)
    async with script.running(tls=True) as place:
        assert await trouble_of(place, NatsAccess([place], Credentials.parse("node:hush"))) is Trouble.NO_NATS
        await script.ended.wait()
    assert b"hush" not in script.heard


@pytest.mark.parametrize(
    ("words", "trouble"),
    [
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], Trouble.NO_NATS),
        ([INFO, b"MSG entrenous.all 1 99999999\r\n"], Trouble.NO_NATS),
        ([b"-ERR 'maximum connections exceeded'\r\n"], Trouble.UNREACHABLE),
        ([], Trouble.UNREACHABLE),
        ([INFO], Trouble.UNREACHABLE),
    ],
)
async def test_who_does_not_answer_as_nats_does_is_given_up(
    words: list[bytes], trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_connection, "CONNECT_SECONDS", 0.2)
    script = Scripted(*words)
    async with script.running() as place:
        assert await trouble_of(place, NatsAccess([place])) is trouble
        await script.ended.wait()
