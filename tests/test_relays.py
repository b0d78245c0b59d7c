"""Relays: what a call may use, and what a server cannot make it use."""

from __future__ import annotations

from entrenous import RequestRefused, ServerUnreachable
from entrenous.media.engine import MediaEngine
from entrenous.relays import MAX_RELAYS, Lease, Relays
from entrenous_wire.messages import Turn
from lab.calls import SETTINGS


class Server:
    """Answers as the test wants."""

    def __init__(self, *answers: Turn | Exception) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def fetch(self) -> Turn:
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def turn(*urls: str) -> Turn:
    return Turn(request=1, urls=list(urls), username="1700000000:abc", password="secret", ttl=600)


def relays(server: Server, *stun: str) -> Relays:
    return Relays(MediaEngine(SETTINGS), stun, server.fetch)


async def test_configured_stun_and_the_operators_relay_are_used_together() -> None:
    lease = await relays(Server(turn("turn:192.0.2.1:3478")), "stun:192.0.2.2").lease()
    servers = lease.servers
    assert [server.url for server in servers] == ["stun:192.0.2.2", "turn:192.0.2.1:3478"]
    assert (servers[0].username, servers[1].username) == (None, "1700000000:abc")
    assert "secret" not in repr(lease)
    assert (lease.seconds, lease.answered) == (600.0, True)


async def test_an_operator_without_relay_is_asked_once_until_the_next_session() -> None:
    server = Server(RequestRefused("no-relay", "There is none."), turn("turn:192.0.2.1"))
    known = relays(server)
    assert await known.lease() == Lease((), None)
    assert await known.lease() == Lease((), None)
    assert (server.asked, known.absent) == (1, True)
    await known.look()
    assert not known.absent


async def test_a_server_that_is_away_means_no_relay_for_now() -> None:
    server = Server(ServerUnreachable("away"), turn("turn:192.0.2.1"))
    known = relays(server)
    assert await known.lease() == Lease((), 0.0, answered=False)
    assert [found.url for found in (await known.lease()).servers] == ["turn:192.0.2.1"]


async def test_a_server_that_refuses_for_now_has_not_said_that_there_is_no_relay() -> None:
    known = relays(Server(RequestRefused("too-many", "Not now.")))
    assert await known.lease() == Lease((), 0.0, answered=False)
    assert not known.absent


async def test_what_a_server_makes_up_is_left_out_and_bounded() -> None:
    odd = ["http://example.org", "turns:relay.example.org?transport=udp"]
    good = [f"turn:192.0.2.{number}" for number in range(1, 50)]
    lease = await relays(Server(turn(*odd, *good))).lease()
    assert [server.url for server in lease.servers] == good[: MAX_RELAYS - len(odd)]
