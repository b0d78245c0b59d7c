"""CallServers: asked for once, renewed well before they run out, and never waited for when it matters."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from entrenous import call_servers
from entrenous.call_servers import CallServers, has_relay, relays_of
from entrenous.call_tasks import CallTasks
from entrenous.media.engine import IceServer
from entrenous.relays import Lease

STUN = IceServer("stun:192.0.2.2")
PATIENCE = 60.0


def relay(user: str) -> IceServer:
    return IceServer("turns:192.0.2.1", user, "password")


class Server:
    """Leases what the test puts in, one answer after the other, the last one for ever."""

    def __init__(self, *leases: Lease) -> None:
        self.leases = list(leases)
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def lease(self) -> Lease:
        self.asked += 1
        await self.answers.wait()
        return self.leases.pop(0) if len(self.leases) > 1 else self.leases[0]


class Call:
    """What renewed credentials are for."""

    def __init__(self, *leases: Lease) -> None:
        self.server = Server(*leases)
        self.renewed: asyncio.Queue[Sequence[IceServer]] = asyncio.Queue()
        self.broken: list[Exception] = []
        self.tasks = CallTasks(self.broken.append)
        self.servers = CallServers(self.server.lease, self.renewed.put_nowait, self.tasks)

    async def next(self) -> Sequence[IceServer]:
        async with asyncio.timeout(PATIENCE):
            return await self.renewed.get()


class Pauses:
    """Lets every pause pass at once and remembers it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self.seconds: list[float] = []
        self._count = count
        self._sleep = asyncio.sleep
        monkeypatch.setattr(asyncio, "sleep", self)

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await self._sleep(0 if len(self.seconds) < self._count else 3600)


async def test_servers_are_asked_for_once_for_all_legs_of_a_call() -> None:
    call = Call(Lease((STUN, relay("a")), 600.0))
    await asyncio.gather(*(call.servers.learn(wait=True) for _ in range(3)))
    await call.servers.learn(wait=True)
    assert call.server.asked == 1
    assert call.servers.current == (STUN, relay("a"))
    assert not call.servers.lacks_relay
    await call.tasks.finish()


async def test_credentials_are_renewed_when_half_their_life_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = Pauses(monkeypatch, 3)
    call = Call(*(Lease((relay(user),), 600.0) for user in "abc"))
    await call.servers.learn(wait=True)
    assert [(await call.next())[0].username for _ in range(3)] == ["a", "b", "c"]
    assert call.servers.current == (relay("c"),)
    assert pauses.seconds[:2] == [300.0, 300.0]
    await call.tasks.finish()


async def test_the_old_credentials_stay_while_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = Pauses(monkeypatch, 4)
    away = Lease((), 0.0, answered=False)
    call = Call(Lease((relay("a"),), 600.0), away, away, Lease((relay("b"),), 600.0))
    await call.servers.learn(wait=True)
    assert (await call.next())[0].username == "a"
    assert call.servers.current == (relay("a"),)
    assert (await call.next())[0].username == "b"
    assert pauses.seconds[:3] == [300.0, call_servers.RETRY_SECONDS, call_servers.RETRY_SECONDS]
    await call.tasks.finish()


async def test_a_server_that_is_away_holds_no_leg_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_servers, "RELAY_PATIENCE", 0.01)
    call = Call(Lease((relay("a"),), 600.0))
    call.server.answers.clear()
    async with asyncio.timeout(PATIENCE):
        await call.servers.learn(wait=True)
        await call.servers.learn(wait=False)
    assert (call.server.asked, call.servers.current) == (1, ())
    assert not call.servers.lacks_relay, "nobody has said so"
    call.server.answers.set()
    assert await call.next() == (relay("a"),), "the legs that began without it are told"
    await call.tasks.finish()


async def test_an_operator_without_a_relay_is_not_asked_again() -> None:
    call = Call(Lease((STUN,), None))
    await call.servers.learn(wait=True)
    assert call.servers.lacks_relay
    await call.next()
    async with asyncio.timeout(PATIENCE):
        while len(call.tasks):  # noqa: ASYNC110 - the task that ends has no event of its own
            await asyncio.sleep(0)
    assert call.server.asked == 1
    assert not call.broken


async def test_a_server_with_odd_lifetimes_is_not_asked_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = Pauses(monkeypatch, 1)
    call = Call(Lease((relay("a"),), 1.0))
    await call.servers.learn(wait=True)
    await call.next()
    await call.tasks.finish()
    assert pauses.seconds == [call_servers.RETRY_SECONDS]


def test_what_relays_is_told_apart() -> None:
    servers = [STUN, IceServer("turn:192.0.2.1", "u", "p"), relay("u")]
    assert relays_of(servers) == servers[1:]
    assert has_relay(servers)
    assert not has_relay([STUN])
