"""The TURN client against a server of a few lines, in simulated time; the real one is coturn's, elsewhere."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from entrenous.errors import RemoteProtocolError
from entrenous.media.transport.stun import Address, Attribute, Class, Message, Method, long_term_key, parse
from entrenous.media.transport.turn import BINDING_LIFE, MAX_PEERS, Relayed, TurnClient, TurnState

RELAYED, MAPPED, PEER = Address("198.51.100.1", 50000), Address("203.0.113.1", 4711), Address("192.0.2.9", 1234)
REALM, KEY = b"realm", long_term_key("user", b"realm", "word")


class Server:
    """Answers like a TURN server; `loses` drops what it gets."""

    def __init__(self, *, lifetime: int = 600, reliable: bool = False, ipv6: bool = False) -> None:
        numbers = itertools.count()
        self.now = 0.0
        self.client = TurnClient(
            "user", "word", ipv6=ipv6, reliable=reliable, draw=lambda: next(numbers).to_bytes(12, "big")
        )
        self.nonce = b"first"
        self.lifetime = lifetime
        self.refuses: dict[Method, int] = {}
        self.loses: Callable[[bytes], bool] = lambda data: False
        self.requests: list[Message] = []
        self.others: list[bytes] = []
        self.forges = False
        self.ticket: bytes | None = None
        """What the server gives for moving; None when it knows nothing of that."""
        self.forbids_mobility = False
        self.is_seen_elsewhere = False
        """Whether what arrives comes from another address than the allocation was made from."""

    def exchange(self) -> None:
        """Carry everything both ways until nothing more is said."""
        while self.client.outgoing:
            outgoing, self.client.outgoing = self.client.outgoing, []
            for data in outgoing:
                if self.loses(data):
                    continue
                if data[0] & 0xC0:
                    self.others.append(data)
                    continue
                message = parse(data)
                if message.kind is Class.INDICATION:
                    self.others.append(data)
                else:
                    self.requests.append(message)
                    self.client.receive(self._answer(message), self.now)

    def _answer(self, request: Message) -> bytes:
        kind, code = Class.SUCCESS, 0
        if not request.is_authentic(KEY):
            kind, code = Class.ERROR, 401
        elif request.attributes[Attribute.NONCE] != self.nonce:
            kind, code = Class.ERROR, 438
        elif request.method in self.refuses:
            kind, code = Class.ERROR, self.refuses[request.method]
        elif Attribute.MOBILITY_TICKET in request.attributes and request.method is Method.REFRESH:
            code = self._move(request.attributes[Attribute.MOBILITY_TICKET])
        elif self.is_seen_elsewhere:
            code = 437
        elif Attribute.MOBILITY_TICKET in request.attributes and self.forbids_mobility:
            code = 405
        kind = Class.ERROR if code else kind
        answer = Message(request.method, kind, request.transaction)
        if code:
            answer.put_error(code, "no")
        if code in (401, 438):
            answer.attributes[Attribute.REALM] = REALM
            answer.attributes[Attribute.NONCE] = self.nonce
            return answer.encode()
        if request.method is Method.ALLOCATE:
            answer.put_address(Attribute.XOR_RELAYED_ADDRESS, RELAYED)
            answer.put_address(Attribute.XOR_MAPPED_ADDRESS, MAPPED)
        if request.method in (Method.ALLOCATE, Method.REFRESH):
            answer.put_number(Attribute.LIFETIME, self.lifetime)
            if self.ticket is not None:
                answer.attributes[Attribute.MOBILITY_TICKET] = self.ticket
        return answer.encode(b"forged" if self.forges else KEY)

    def _move(self, ticket: bytes) -> int:
        """Let an allocation move with the right ticket, which is good for one time; the code of the error, or 0."""
        if not self.is_seen_elsewhere:
            return 400
        if ticket != self.ticket:
            return 404
        self.is_seen_elsewhere = False
        self.ticket = b"next " + ticket
        return 0

    def leave(self) -> None:
        """The client is seen at another address from now on: the server knows no nonce of it."""
        self.is_seen_elsewhere = True
        self.nonce += b"+"

    def run(self, seconds: float, step: float = 0.05) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now = max(self.now + 0.001, min(until, max(self.now + step, self.client.deadline())))
            self.client.poll(self.now)
            self.exchange()

    def mobile(self) -> Server:
        self.ticket = b"ticket"
        return self.ready()

    def ready(self) -> Server:
        self.client.allocate(self.now, 5.0)
        self.exchange()
        assert self.client.state is TurnState.READY
        return self


def methods(server: Server) -> list[Method]:
    return [request.method for request in server.requests]


def test_an_allocation_is_made_with_credentials() -> None:
    server = Server().ready()
    assert (server.client.relayed, server.client.mapped) == (RELAYED, MAPPED)
    assert Attribute.REQUESTED_ADDRESS_FAMILY not in server.requests[0].attributes
    assert "word" not in repr(server.client)


def test_an_ipv6_address_is_asked_for() -> None:
    server = Server(ipv6=True).ready()
    assert server.requests[-1].attributes[Attribute.REQUESTED_ADDRESS_FAMILY] == b"\2\0\0\0"


def test_lost_requests_are_sent_again_but_not_on_a_stream() -> None:
    server = Server()
    seen = 0

    def loses(_: bytes) -> bool:
        nonlocal seen
        seen += 1
        return seen % 3 != 0

    server.loses = loses
    server.client.allocate(0.0, 5.0)
    server.exchange()
    server.run(4.0)
    assert server.client.state is TurnState.READY
    stream = Server(reliable=True)
    stream.loses = lambda data: True
    stream.client.allocate(0.0, 5.0)
    stream.exchange()
    stream.run(4.9)
    assert stream.client.outgoing == []
    assert stream.client.state is TurnState.ALLOCATING
    stream.run(0.2)
    assert stream.client.state is TurnState.DEAD


@pytest.mark.parametrize("code", [403, 437, 440, 486, 508])
def test_a_refusal_is_told_from_silence(code: int) -> None:
    server = Server()
    server.refuses[Method.ALLOCATE] = code
    server.client.allocate(0.0, 5.0)
    server.exchange()
    assert server.client.state is TurnState.REFUSED


def test_wrong_credentials_are_refused_once() -> None:
    server = Server()
    server.client._password = "another"
    server.client.allocate(0.0, 5.0)
    server.exchange()
    assert server.client.state is TurnState.REFUSED
    assert len(server.requests) == 2


def test_forged_answers_count_for_nothing() -> None:
    server = Server()
    server.forges = True
    server.client.allocate(0.0, 5.0)
    server.exchange()
    assert server.client.state is TurnState.ALLOCATING
    assert server.client.relayed is None


def test_the_first_datagram_waits_for_nothing() -> None:
    server = Server().ready()
    server.loses = lambda data: True
    assert server.client.send(b"check", PEER, 0.0)
    binding, indication = (parse(data) for data in server.client.outgoing)
    assert binding.method is Method.CHANNEL_BIND
    assert binding.address(Attribute.XOR_PEER_ADDRESS) == PEER
    assert indication.method is Method.SEND
    assert indication.attributes[Attribute.DATA] == b"check"
    server.loses = lambda data: False
    server.exchange()
    server.client.send(b"media", PEER, 0.1)
    assert server.client.outgoing == [b"\x40\x00\x00\x05media"]


def test_streams_are_padded() -> None:
    server = Server(reliable=True).ready()
    server.client.send(b"check", PEER, 0.0)
    server.exchange()
    server.client.send(b"media", PEER, 0.1)
    assert server.client.outgoing == [b"\x40\x00\x00\x05media\0\0\0"]


def test_datagrams_come_from_peers_that_were_sent_to_only() -> None:
    server = Server().ready()
    server.client.send(b"check", PEER, 0.0)
    server.exchange()
    assert server.client.receive(b"\x40\x00\x00\x02hixx", 0.0) == Relayed(b"hi", PEER)
    assert server.client.receive(b"\x40\x01\x00\x02hi", 0.0) is None
    for peer, expected in ((Address(PEER.host, 9), b"hi"), (Address("192.0.2.8", 9), None)):
        message = Message(Method.DATA, Class.INDICATION, bytes(12))
        message.put_address(Attribute.XOR_PEER_ADDRESS, peer)
        message.attributes[Attribute.DATA] = b"hi"
        got = server.client.receive(message.encode(), 0.0)
        assert (got.payload if got is not None else None) == expected
    for malformed in (b"\x40\0\0", b"\x40\0\0\x09hi", b"\0\0"):
        with pytest.raises(RemoteProtocolError):
            server.client.receive(malformed, 0.0)


def test_a_long_call_keeps_everything_alive_through_new_nonces() -> None:
    server = Server(lifetime=60).ready()
    for minute in range(60):
        server.nonce = str(minute).encode()
        for _ in range(6):
            assert server.client.send(b"media", PEER, server.now)
            server.exchange()
            server.run(10.0)
            assert server.client.state is TurnState.READY
    assert methods(server).count(Method.CHANNEL_BIND) >= 3600 / BINDING_LIFE - 1
    indications = [data for data in server.others if not data[0] & 0x40]
    assert len(indications) == 1  # everything after the first went by the channel


def test_an_allocation_that_cannot_be_renewed_is_dead() -> None:
    server = Server(lifetime=60).ready()
    server.loses = lambda data: True
    server.run(59.0)
    assert server.client.state is TurnState.READY
    server.run(2.0)
    assert server.client.state is TurnState.DEAD
    assert not server.client.send(b"media", PEER, server.now)


def test_a_server_that_forgot_is_found_out_by_a_probe() -> None:
    for lost in (True, False):
        server = Server().ready()
        server.refuses[Method.REFRESH] = 437
        if lost:
            server.loses = lambda data: True
        server.client.probe(server.now, 1.5)
        server.exchange()
        server.run(2.0)
        assert server.client.state is TurnState.DEAD


def test_a_refused_peer_is_told_and_tried_again_later() -> None:
    server = Server().ready()
    server.refuses[Method.CHANNEL_BIND] = 403
    assert server.client.send(b"check", PEER, 0.0)
    server.exchange()
    assert not server.client.send(b"check", PEER, 1.0)
    del server.refuses[Method.CHANNEL_BIND]
    assert server.client.send(b"check", PEER, 11.0)
    server.exchange()
    assert server.client.state is TurnState.READY


def test_peers_are_bounded() -> None:
    server = Server().ready()
    for number in range(3 * MAX_PEERS):
        server.client.send(b"check", Address("192.0.2.1", 1 + number), float(number))
        server.exchange()
    assert len(server.client._by_peer) == len(server.client._by_number) == MAX_PEERS
    assert Address("192.0.2.1", 3 * MAX_PEERS) in server.client._by_peer


def test_a_release_tells_the_server() -> None:
    server = Server().ready()
    server.client.release(0.0, 1.0)
    server.exchange()
    assert server.client.state is TurnState.RELEASED
    assert server.requests[-1].number(Attribute.LIFETIME) == 0
    silent = Server().ready()
    silent.loses = lambda data: True
    silent.client.release(0.0, 1.0)
    silent.exchange()
    silent.run(1.1)
    assert silent.client.state is TurnState.RELEASED


def test_an_allocation_moves_to_a_new_socket_as_often_as_needed() -> None:
    server = Server().mobile()
    assert server.client.is_mobile
    for _ in range(3):
        server.leave()
        server.client.move(server.now, 1.0)
        server.exchange()
        assert not server.is_seen_elsewhere
        server.run(2.0)
        assert (server.client.state, server.client.relayed) == (TurnState.READY, RELAYED)


def test_it_goes_on_at_the_address_that_the_server_sees_without_being_told() -> None:
    server = Server().mobile()
    assert server.client.send(b"before", PEER, server.now)
    server.exchange()
    server.leave()
    server.client.probe(server.now, 1.0)
    server.exchange()
    assert not server.is_seen_elsewhere
    server.run(2.0)
    assert server.client.state is TurnState.READY
    server.others.clear()
    assert server.client.send(b"after", PEER, server.now)
    server.exchange()
    assert server.others == [b"\x40\x00\x00\x05after"], "the channel is bound still"


def test_a_probe_where_nothing_has_changed_changes_nothing() -> None:
    server = Server().mobile()
    for _ in range(3):
        server.client.probe(server.now, 1.0)
        server.exchange()
        server.run(2.0)
    assert (server.client.state, server.ticket) == (TurnState.READY, b"ticket")
    assert methods(server).count(Method.REFRESH) == 6


@pytest.mark.parametrize("lost", range(1, 5))
def test_one_lost_message_does_not_end_a_move(lost: int) -> None:
    server = Server().mobile()
    seen = 0

    def loses(_: bytes) -> bool:
        nonlocal seen
        seen += 1
        return seen == lost

    server.leave()
    server.loses = loses
    server.client.probe(server.now, 1.5)
    server.run(3.0)
    assert (server.client.state, server.is_seen_elsewhere) == (TurnState.READY, False)


def test_alarms_while_it_moves_do_not_make_it_begin_again() -> None:
    server = Server().mobile()
    server.leave()
    server.client.move(server.now, 1.0)
    server.client.probe(server.now, 1.0)
    server.exchange()
    assert not server.is_seen_elsewhere
    assert methods(server)[-2:] == [Method.REFRESH, Method.REFRESH], "with the old nonce and with the new one"
    assert methods(server).count(Method.REFRESH) == 2


def test_a_move_is_tried_again_sooner_than_other_things() -> None:
    server = Server().mobile()
    server.leave()
    server.client.rtt = 0.02
    server.loses = lambda _: server.now < 0.1
    server.client.move(server.now, 1.0)
    server.run(0.2)
    assert not server.is_seen_elsewhere


def test_the_lifetime_is_asked_for_anew_after_a_move() -> None:
    server = Server().mobile()
    server.run(200.0)
    server.leave()
    server.client.move(server.now, 1.0)
    server.exchange()
    server.requests.clear()
    server.run(0.1)
    assert [each for each in server.requests if Attribute.MOBILITY_TICKET not in each.attributes]
    server.requests.clear()
    server.run(250.0)
    assert not server.requests


@pytest.mark.parametrize("code", [400, 404, 441])
def test_a_move_that_is_refused_or_not_answered_ends_the_allocation(code: int) -> None:
    server = Server().mobile()
    server.refuses[Method.REFRESH] = code
    server.client.move(server.now, 1.0)
    server.exchange()
    assert server.client.state is TurnState.DEAD
    silent = Server().mobile()
    silent.loses = lambda _: True
    silent.client.move(silent.now, 1.0)
    states = []
    for _ in range(2):
        silent.run(0.55)
        states.append(silent.client.state)
    assert states == [TurnState.READY, TurnState.DEAD]


def test_a_forged_success_gives_no_ticket() -> None:
    server = Server().mobile()
    server.leave()
    server.forges = True
    server.client.move(server.now, 1.0)
    server.exchange()
    server.run(1.5)
    assert server.client.state is TurnState.DEAD


@pytest.mark.parametrize("forbids", [False, True])
def test_a_server_without_mobility_gives_an_allocation_all_the_same(forbids: bool) -> None:
    server = Server()
    server.forbids_mobility = forbids
    server.ready()
    assert not server.client.is_mobile


def test_no_ticket_is_asked_for_over_a_stream() -> None:
    server = Server(reliable=True).ready()
    assert all(Attribute.MOBILITY_TICKET not in request.attributes for request in server.requests)
