"""Who talked to whom is forgotten in time: what the hub leads to, minutes after its calls have ended."""

from __future__ import annotations

import itertools

import pytest
from msgspec import structs

from entrenous_signaling.mailbox import DeviceKey
from entrenous_wire.limits import HEARTBEAT_SECONDS, SESSION_GRACE_SECONDS
from entrenous_wire.messages import Accepted, Ack, Deliver, Kind
from world.canaries import Canary, mark, mark_text, search
from world.hubworld import HubNode, HubWorld, account
from world.reach import reachable
from world.wirenode import Account

NAMES = ("anna", "ben", "cara", "dora")
PEOPLE = {name: account(mark_text(name), mark(name, 8).hex()) for name in NAMES}
MARKS = {"call": mark("call", 8), "message": mark("message", 8)}

SOON = 4 * SESSION_GRACE_SECONDS
"""When everything of a call is forgotten that has ended."""


def canaries_of(name: str) -> list[Canary]:
    return [Canary.text(name, PEOPLE[name].username), Canary.text(name, PEOPLE[name].device)]


def known(root: object, canaries: list[Canary], *without: object) -> dict[str, str]:
    """What of it an object leads to, and on which way."""
    found = {}
    for way, value in reachable(root, *without):
        data = value.encode() if isinstance(value, str) else value
        found |= {trace.what: way for trace in search(way, data, canaries)}
    return found


class Talk:
    """A world in which these people are connected and talk."""

    def __init__(self) -> None:
        self.world = HubWorld()
        self.nodes = {name: self.world.register(person) for name, person in PEOPLE.items()}
        self.tokens: list[bytes] = []
        self._numbers = itertools.count(1)

    def fresh(self, kind: str) -> bytes:
        return MARKS[kind] + next(self._numbers).to_bytes(8, "big")

    def tell(self, one: str, other: str, kind: Kind, call: bytes) -> None:
        message = PEOPLE[one].send(0, PEOPLE[other], kind, call)
        message = structs.replace(message, id=self.fresh("message"))
        self.nodes[one].say(message)
        self.take(self.nodes[other])
        self.take(self.nodes[one])

    def take(self, node: HubNode) -> None:
        """Acknowledge what has come, and note the tokens in it."""
        for message in node.hear_all():
            if isinstance(message, Deliver):
                node.say(Ack(seq=message.seq))
            if isinstance(message, Deliver | Accepted) and message.record is not None:
                self.tokens.append(message.record)

    def call(self, one: str, other: str) -> None:
        call = self.fresh("call")
        self.tell(one, other, Kind.RING, call)
        self.tell(other, one, Kind.SIGNAL, call)
        self.tell(other, one, Kind.ACCEPT, call)
        self.tell(one, other, Kind.END, call)

    def canaries(self) -> list[Canary]:
        """Of the calls, the messages and the tokens of the records."""
        marks = [Canary.octets(kind, value) for kind, value in MARKS.items()]
        return marks + [Canary.octets("record", token) for token in self.tokens]

    def mailbox(self, name: str) -> object:
        person: Account = PEOPLE[name]
        found = self.world.hub._router.find(DeviceKey(person.username, person.device))
        assert found is not None
        return found


@pytest.fixture
def talk() -> Talk:
    talk = Talk()
    talk.call("anna", "ben")
    talk.call("cara", "dora")
    talk.call("ben", "anna")
    return talk


def test_while_it_is_fresh_it_is_known(talk: Talk) -> None:
    """So that the tests below see something forgotten that was there."""
    assert known(talk.world.hub, talk.canaries()).keys() == {"call", "message", "record"}


def test_then_no_call_no_message_and_no_token_is_known(talk: Talk) -> None:
    talk.world.advance(SOON)
    assert known(talk.world.hub, talk.canaries()) == {}


def test_then_nobodys_mailbox_leads_to_anybody_else(talk: Talk) -> None:
    talk.world.advance(SOON)
    for name, other in itertools.permutations(NAMES, 2):
        assert known(talk.mailbox(name), canaries_of(other)) == {}, (name, other)
        assert known(talk.mailbox(name), canaries_of(name)).keys() == {name}


def test_nor_does_what_was_refused_for_now(talk: Talk) -> None:
    full = talk.world.settings.bounds.queue_messages
    talk.nodes["dora"].drop()
    for number in range(full + 1):
        if number % 100 == 0:
            talk.world.advance(1.0)
        talk.nodes["anna"].say(PEOPLE["anna"].send(number, PEOPLE["dora"]))
    assert known(talk.mailbox("anna"), canaries_of("dora"))
    talk.world.advance(SOON)
    assert known(talk.mailbox("anna"), canaries_of("dora")) == {}


def test_then_nothing_is_known_of_who_has_left(talk: Talk) -> None:
    for name in ("ben", "dora"):
        talk.nodes[name].drop()
    rate = talk.world.settings.bounds.relay_rate
    talk.world.advance(SESSION_GRACE_SECONDS + rate.burst / rate.per_second)  # until their buckets are full
    hub = talk.world.hub
    for name in ("ben", "dora"):
        assert known(hub, canaries_of(name)) == {}


def test_a_sender_that_may_not_have_heard_is_still_answered(talk: Talk) -> None:
    """Longer than a dead connection goes unnoticed and a device is away, a message said again is not routed again."""
    message = PEOPLE["anna"].send(7, PEOPLE["ben"])
    talk.nodes["anna"].say(message)
    talk.take(talk.nodes["ben"])
    talk.world.advance(1.5 * HEARTBEAT_SECONDS + SESSION_GRACE_SECONDS)
    repeated = talk.world.hub.counters.repeated
    talk.nodes["anna"].say(message)
    assert talk.world.hub.counters.repeated == repeated + 1
    assert talk.nodes["ben"].hear_all() == []
