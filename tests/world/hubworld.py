"""The pure hub with a store in memory, a simulated clock and nodes that are lists of messages."""

from __future__ import annotations

import random
from typing import TypeVar

from entrenous_signaling.addresses import Origin
from entrenous_signaling.hub import Hub
from entrenous_signaling.outputs import Close, Execute, Output, Publish, Transmit
from entrenous_signaling.settings import HubSettings
from entrenous_signaling.store.requests import StoreMessage, StoreRequest
from entrenous_wire.messages import Error, ErrorCode, FromNode, FromServer, Hello, LoggedIn, NoLetters, Welcome

from .memorystore import MemoryStore
from .wirenode import Account

SERVER = "calls.example.org"
START = 1_000_000.0
Answer = TypeVar("Answer")


class HubNode:
    """A connection to the simulated hub; what the hub said on it waits in `heard`."""

    def __init__(self, world: HubWorld, number: int) -> None:
        self._world = world
        self.number = number
        self.heard: list[FromServer] = []
        self.closed: int | None = None
        self.read_all = 0
        """How often it was told that nothing is stored for it; kept apart, since it comes after every login."""
        self.logins: list[LoggedIn] = []
        """Which other devices of its account have logged in; kept apart, since that comes at any time."""

    def say(self, *messages: FromNode) -> HubNode:
        """Say messages, one after the other."""
        for message in messages:
            self._world.run(self._world.hub.message_received(self.number, message, self._world.now))
        return self

    def hear(self, kind: type[Answer]) -> Answer:
        """Take the oldest thing that was said, which must be of that kind."""
        assert self.heard, f"nothing was said, {kind.__name__} expected"
        message = self.heard.pop(0)
        assert isinstance(message, kind), message
        return message

    def hear_all(self) -> list[FromServer]:
        """Take everything that was said."""
        heard, self.heard = self.heard, []
        return heard

    def drop(self) -> None:
        """The connection is gone."""
        self.closed = 1006
        self._world.run(self._world.hub.disconnected(self.number, self._world.now))


class HubWorld:
    """A hub whose store requests are carried out at once, or when the test says so.

    Args:
        settings: of the hub; the server's name is SERVER.
    """

    def __init__(self, settings: HubSettings | None = None) -> None:
        self.settings = settings or HubSettings(name=SERVER, message_key=bytes(32))
        self.now = START
        self.store = MemoryStore()
        self.store_fails = False
        self.store_waits = False
        self.waiting: list[tuple[int, StoreRequest]] = []
        self.requests: list[StoreRequest] = []
        self.published: list[Publish] = []
        self.nodes: dict[int, HubNode] = {}
        self._count = 0
        self._random = random.Random(7)
        self.hub = self._new_hub()

    def _new_hub(self) -> Hub:
        return Hub(self.settings, self._random.randbytes, self.now)

    def run(self, outputs: list[Output]) -> None:
        """Carry outputs out, and what follows from them."""
        for output in outputs:
            match output:
                case Transmit(number, message):
                    assert self.nodes[number].closed is None
                    if isinstance(message, NoLetters):
                        self.nodes[number].read_all += 1
                    elif isinstance(message, LoggedIn):
                        self.nodes[number].logins.append(message)
                    else:
                        self.nodes[number].heard.append(message)
                case Close(number, code):
                    self.nodes[number].closed = code
                case Execute(ticket, request):
                    self.requests.append(request)
                    self.waiting.append((ticket, request))
                case Publish():
                    self.published.append(output)
        if not self.store_waits:
            self.answer_store()

    def answer_store(self) -> None:
        """Carry out what the store was asked, or refuse it when the store fails."""
        while self.waiting:
            ticket, request = self.waiting.pop(0)
            if self.store_fails:
                self.run(self.hub.store_failed(ticket, self.now))
            else:
                self.run(self.hub.stored(ticket, self.store.apply(request), self.now))

    def connect(self, origin: Origin | None = None) -> tuple[HubNode, Hello]:
        """A new connection, from an address that is limited or not, and its greeting."""
        self._count += 1
        node = self.nodes[self._count] = HubNode(self, self._count)
        self.run(self.hub.connected(self._count, self.now, origin))
        return node, node.hear(Hello)

    def register(self, account: Account) -> HubNode:
        """A connection of an account that has just registered."""
        return self.welcomed(account)[0]

    def welcomed(self, account: Account) -> tuple[HubNode, Welcome]:
        """The same, and what it was welcomed with, for who resumes later."""
        node, hello = self.connect()
        return node, node.say(account.register(hello)).hear(Welcome)

    def login(self, account: Account) -> tuple[HubNode, Welcome]:
        """A connection of an account that has just logged in."""
        node, hello = self.connect()
        return node, node.say(account.login(hello)).hear(Welcome)

    def advance(self, seconds: float) -> None:
        """Let time pass, with every deadline in its order."""
        end = self.now + seconds
        while (due := self.hub.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.run(self.hub.tick(self.now))
        self.now = end

    def kill_and_restart(self) -> None:
        """SIGKILL and a new start: memory is gone, connections are gone, the store stays."""
        self.nodes.clear()
        self.waiting.clear()
        self.hub = self._new_hub()


def account(username: str, device: str = "00000000000000aa", identity: str = "") -> Account:
    """An account of the simulated server."""
    return Account(username, SERVER, device, identity=identity)


ALICE, BOB, BOB_PHONE, EVE = account("alice"), account("bob"), account("bob", "00000000000000bb"), account("eve")
CALL = b"c" * 16


def stored(world: HubWorld) -> list[StoreMessage]:
    """All messages that wait in the store."""
    return [message for messages in world.store.messages.values() for message in messages.values()]


def refused(node: HubNode) -> ErrorCode:
    """The code of the next error that a node hears."""
    return node.hear(Error).code


def two() -> tuple[HubWorld, HubNode, HubNode]:
    """Alice and Bob, registered and connected."""
    world = HubWorld()
    return world, world.register(ALICE), world.register(BOB)
