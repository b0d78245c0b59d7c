"""The bus over a real nats-server: heard, lost and found again, refused with its reason, and never waited for."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from entrenous_signaling.cluster import nats_bus
from entrenous_signaling.cluster.nats_bus import (
    PENDING_BYTES,
    NatsAccess,
    NatsBus,
    NatsConnection,
    NatsError,
    Trouble,
    connect,
    pause,
)
from entrenous_signaling.cluster.nats_protocol import Credentials
from entrenous_signaling.cluster.settings import NatsPlace
from lab.certificates import Authority, write
from lab.nats import NatsServer, needs_nats, running_nats

PATIENCE = 30.0
ALL, OWN, OTHER = "entrenous.all", "entrenous.0011223344556677", "entrenous.8899aabbccddeeff"
INFO = b'INFO {"max_payload":1048576} \r\n'
INFO_TLS = b'INFO {"max_payload":1048576,"tls_required":true} \r\n'


class Ear:
    """What a bus has told."""

    def __init__(self) -> None:
        self.news: list[object] = []
        self._changed = asyncio.Event()

    def received(self, subject: str, parcel: bytes) -> None:
        self._note((subject, parcel))

    def connected(self) -> None:
        self._note("connected")

    def lost(self) -> None:
        self._note("lost")

    async def until(self, *news: object) -> None:
        """Wait until exactly this was told since the last time, in this order."""
        async with asyncio.timeout(PATIENCE):
            while len(self.news) < len(news):
                self._changed.clear()
                await self._changed.wait()
        assert self.news == list(news)
        self.news.clear()

    def _note(self, what: object) -> None:
        self.news.append(what)
        self._changed.set()


def access(*servers: NatsServer, tls: ssl.SSLContext | None = None) -> NatsAccess:
    credentials = Credentials.parse(servers[0].credentials_file.read_text().strip())
    return NatsAccess([NatsPlace.parse(server.url) for server in servers], credentials, tls)


@asynccontextmanager
async def listening(reached: NatsAccess, *subjects: str) -> AsyncIterator[tuple[NatsBus, Ear]]:
    bus, ear = NatsBus(reached, lambda: 0.0), Ear()
    await bus.start(subjects, ear.received, ear.connected, ear.lost)
    try:
        yield bus, ear
    finally:
        await bus.close()


async def trouble_of(place: NatsPlace, reached: NatsAccess) -> Trouble:
    with pytest.raises(NatsError) as refused:
        await connect(place, reached, [ALL, OWN], Ear().received)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    return refused.value.trouble


@needs_nats
async def test_others_are_heard_and_a_server_that_was_killed_is_found_again(tmp_path: Path) -> None:
    with running_nats(tmp_path) as server:
        async with (
            listening(access(server), ALL, OWN) as (one, ear),
            listening(access(server), ALL, OTHER) as (two, ear_two),
        ):
            assert not one.is_connected
            await ear.until("connected")
            await ear_two.until("connected")
            assert one.publish(ALL, b"to all")  # who says it does not hear it
            await ear_two.until((ALL, b"to all"))
            assert two.publish(OWN, b"to one\r\n\0")
            assert two.publish(ALL, bytes(500_000))
            await ear.until((OWN, b"to one\r\n\0"), (ALL, bytes(500_000)))
            server.kill()
            await ear.until("lost")
            await ear_two.until("lost")
            assert not one.is_connected
            assert not one.publish(ALL, b"while nobody carries it")
            server.start()
            await ear.until("connected")
            await ear_two.until("connected")
            assert one.publish(ALL, b"again")
            await ear_two.until((ALL, b"again"))
            assert one.publish(ALL, b"last")
            await one.close()
            await ear_two.until((ALL, b"last"))
            assert not one.is_connected
            assert ear.news == []


@needs_nats
async def test_of_several_servers_one_will_do(tmp_path: Path) -> None:
    gone, there = tmp_path / "gone", tmp_path / "there"
    gone.mkdir()
    there.mkdir()
    with running_nats(there) as server:
        both = replace(access(server), places=[NatsPlace.parse(NatsServer(gone).url), NatsPlace.parse(server.url)])
        async with listening(both, ALL) as (_, ear):
            await ear.until("connected")


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
                monkeypatch.setattr(nats_bus, "BEAT_SECONDS", 0.02)
                await ear.until("lost")
                assert not bus.is_connected
            await ear.until("connected")


@needs_nats
async def test_who_is_not_known_is_refused_and_the_log_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_bus, "_LONGEST_PAUSE", 0.01)
    with running_nats(tmp_path) as server:
        place = NatsPlace.parse(server.url)
        for line in ("node:hush-hush", "hush-hush"):
            stranger = NatsAccess([place], Credentials.parse(line))
            assert await trouble_of(place, stranger) is Trouble.CREDENTIALS
        assert await trouble_of(place, NatsAccess([place])) is Trouble.CREDENTIALS
        attempts = asyncio.Queue[None]()

        async def counted(*arguments: object) -> NatsConnection:
            attempts.put_nowait(None)
            return await connect(*arguments)  # type: ignore[arg-type]  # as they are

        monkeypatch.setattr(nats_bus, "connect", counted)
        async with listening(stranger, ALL) as (bus, ear):
            for _ in range(4):
                await attempts.get()
            assert (bus.is_connected, ear.news) == (False, [])
    assert [str(record.msg) for record in caplog.records] == ["bus-refused"]
    assert "hush" not in caplog.text


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


class Scripted:
    """Something that says a few words to who connects, and notes what it hears."""

    def __init__(self, *words: bytes) -> None:
        self._words = words
        self.heard = b""
        self.ended = asyncio.Event()

    @asynccontextmanager
    async def running(self, *, tls: bool = False) -> AsyncIterator[NatsPlace]:
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            yield NatsPlace("127.0.0.1", server.sockets[0].getsockname()[1], tls)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            for number, words in enumerate(self._words):
                if number:
                    self.heard += await reader.readuntil(b"PING\r\n")
                writer.write(words)
            self.heard += await reader.read()
        writer.close()
        self.ended.set()


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
    monkeypatch.setattr(nats_bus, "CONNECT_SECONDS", 0.2)
    script = Scripted(*words)
    async with script.running() as place:
        assert await trouble_of(place, NatsAccess([place])) is trouble
        await script.ended.wait()


async def test_pings_are_answered_and_a_refusal_later_on_is_a_loss() -> None:
    script = Scripted(INFO, b"PING\r\nPONG\r\nMSG entrenous.all 1 2\r\nhi\r\n-ERR 'Slow Consumer'\r\n")
    async with script.running() as place, listening(NatsAccess([place]), ALL, OWN) as (_, ear):
        await ear.until("connected", (ALL, b"hi"), "lost")
        await script.ended.wait()
        assert b"PING\r\nPONG\r\n" in script.heard


async def test_nobody_is_waited_for_when_it_ends() -> None:
    script = Scripted()
    async with script.running() as place:
        bus, ear = NatsBus(NatsAccess([place]), lambda: 0.0), Ear()
        await bus.close()
        await bus.start([ALL], ear.received, ear.connected, ear.lost)
        await asyncio.sleep(0)
        await bus.close()
    assert ear.news == []


def test_attempts_come_less_often_and_not_all_at_the_same_moment() -> None:
    latest = [pause(failures, 1.0) for failures in range(40)]
    earliest = [pause(failures, 0.0) for failures in range(40)]
    assert latest == sorted(latest)
    assert (latest[0], latest[-1]) == (0.1, 2.0)
    assert [2 * seconds for seconds in earliest] == latest
