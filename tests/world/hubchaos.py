"""A hub to which anything is said in any order, for generated input: what must hold after each step and at the end.

The steps are numbers and bytes, so that whatever makes them, a fuzzer or Hypothesis, need not know what they mean.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Final

from entrenous_signaling.addresses import Origin
from entrenous_signaling.limits import Bounds, Rate
from entrenous_signaling.settings import HubSettings
from entrenous_signaling.turn import Relay
from entrenous_wire.codec import WireError, encode
from entrenous_wire.messages import (
    Ack,
    DeleteAccount,
    Deliver,
    ErrorCode,
    FetchDevices,
    FromNode,
    Hello,
    Kind,
    Leave,
    Live,
    LiveCall,
    Message,
    Publish,
    Resume,
    Send,
    Taken,
    TurnRequest,
    Welcome,
)

from .hubworld import SERVER, HubNode, HubWorld, account
from .wirenode import Account

ACCOUNTS: Final = (
    account("alice"),
    account("alice", "00000000000000ab"),
    account("bob"),
    account("carol"),
    account("alice", identity="another"),
    Account("bob", "elsewhere.example.org"),
)
CALLS: Final = (b"c" * 16, bytes(16))
MOST_CONNECTIONS: Final = 12
SETTLED_SECONDS: Final = 100_000.0
"""After which every bucket, grace and record has run out."""

BOUNDS: Final = Bounds(
    connection_rate=Rate(per_second=20.0, burst=40.0),
    account_rate=Rate(per_second=40.0, burst=60.0),
    directory_rate=Rate(per_second=5.0, burst=10.0),
    relay_rate=Rate(per_second=1.0, burst=5.0),
    registration_rate=Rate(per_second=1.0, burst=20.0),
    address_login_failures=Rate(per_second=1.0, burst=10.0),
    refusals=20,
    queue_messages=8,
    queue_bytes=16 * 1024,
    sender_messages=6,
    window_bytes=4 * 1024,
    remembered=8,
    open_records=4,
)


class Step(Enum):
    """What happens; each takes a number and bytes."""

    CONNECT = 0
    REGISTER = 1
    LOGIN = 2
    RESUME = 3
    SEND = 4
    ACK = 5
    LIVE = 6
    TAKEN = 7
    LEAVE = 8
    PUBLISH = 9
    FETCH = 10
    RELAY = 11
    DELETE = 12
    RAW = 13
    DAMAGED = 14
    BINARY = 15
    PING = 16
    DROP = 17
    WAIT = 18
    STORE = 19
    RESTART = 20


class Chaos:
    """A hub, some accounts and up to MOST_CONNECTIONS connections of them."""

    def __init__(self) -> None:
        relay = Relay(("turn:192.0.2.1:3478",), b"secret")
        self.world = HubWorld(HubSettings(name=SERVER, message_key=bytes(32), relay=relay, bounds=BOUNDS))
        self._fresh = footprint(self.world.hub)
        self._origin = Origin(BOUNDS, self.world.now)
        self._hellos: dict[int, Hello] = {}
        self._welcomes: deque[Welcome] = deque(maxlen=4)
        self._records: deque[bytes] = deque([bytes(16)], maxlen=4)
        self._said: deque[str] = deque([encode(Leave())], maxlen=8)

    def take(self, step: Step, number: int, raw: bytes) -> None:
        """Do a step.

        Args:
            step: what.
            number: chooses among what there is to choose from; any that is not negative.
            raw: content, where there is some.
        """
        world, hub, now = self.world, self.world.hub, self.world.now
        node = self._node(number)
        if step is Step.CONNECT:
            self._connect(number)
        elif step is Step.WAIT:
            world.advance((0.01, 0.5, 3.0, 30.0, 90.0, 700.0)[number % 6])
        elif step is Step.STORE:
            world.store_fails, world.store_waits = bool(number & 1), bool(number & 2)
            if number & 4:
                world.answer_store()
        elif step is Step.RESTART and number % 8 == 0:
            world.kill_and_restart()
            self._hellos.clear()
        elif node is not None:
            if step is Step.DROP:
                node.drop()
            elif step is Step.PING:
                world.run(hub.ping_received(node.number, now))
            elif step is Step.BINARY:
                world.run(hub.bad_frame_received(node.number, WireError(ErrorCode.MALFORMED, "Text, please."), now))
            elif step is Step.RAW:
                world.run(hub.frame_received(node.number, raw, now))
            elif step is Step.DAMAGED:
                world.run(hub.frame_received(node.number, self._damaged(number, raw), now))
            elif (message := self._message(step, node, number, raw)) is not None:
                frame = encode(message)
                self._said.append(frame)
                world.run(hub.frame_received(node.number, frame, now))
        self._listen()

    def check(self) -> None:
        """What holds after each step."""
        hub = self.world.hub
        there = sum(1 for node in self.world.nodes.values() if node.closed is None)
        assert hub.connections == there, "a connection was forgotten, or is remembered for ever"
        assert hub.sessions <= len(ACCOUNTS)
        assert hub.queued <= len(ACCOUNTS) * BOUNDS.queue_messages
        assert hub.open_records <= len(ACCOUNTS) * BOUNDS.open_records

    def settle(self) -> None:
        """Everybody goes, and time passes: then nothing may be left of them."""
        world = self.world
        world.store_fails = world.store_waits = False
        world.answer_store()
        for node in list(world.nodes.values()):
            if node.closed is None:
                node.drop()
        world.advance(SETTLED_SECONDS)
        world.answer_store()
        hub = world.hub
        assert (hub.connections, hub.sessions, hub.queued, hub.open_records) == (0, 0, 0, 0)
        assert footprint(hub) <= self._fresh + _COUNTED, "something stays in memory"

    # --- inside ---

    def _node(self, number: int) -> HubNode | None:
        there = [node for node in self.world.nodes.values() if node.closed is None]
        return there[number % len(there)] if there else None

    def _connect(self, number: int) -> None:
        if sum(1 for node in self.world.nodes.values() if node.closed is None) < MOST_CONNECTIONS:
            node, hello = self.world.connect(self._origin if number % 4 == 3 else None)
            self._hellos[node.number] = hello

    def _message(self, step: Step, node: HubNode, number: int, raw: bytes) -> FromNode | None:
        who, other = ACCOUNTS[number % len(ACCOUNTS)], ACCOUNTS[(number // 6) % len(ACCOUNTS)]
        make: dict[Step, Callable[[], FromNode]] = {
            Step.REGISTER: lambda: who.register(self._hellos[node.number]),
            Step.LOGIN: lambda: who.login(self._hellos[node.number]),
            Step.RESUME: lambda: Resume(
                token=self._welcomes[number % len(self._welcomes)].token if self._welcomes else bytes(32),
                last_seq=number // 4 % 10,
            ),
            Step.SEND: lambda: self._send(who, number, raw),
            Step.ACK: lambda: Ack(seq=number % 12),
            Step.LIVE: lambda: Live(
                calls=[LiveCall(CALLS[number % 2], record, other.address, other.device) for record in self._records]
            ),
            Step.TAKEN: lambda: Taken(ids=[(number % 8).to_bytes(16, "big")]),
            Step.LEAVE: Leave,
            Step.PUBLISH: lambda: Publish(request=number, prekeys=[who.prekey]),
            Step.FETCH: lambda: FetchDevices(request=number, address=who.address),
            Step.RELAY: lambda: TurnRequest(request=number),
            Step.DELETE: lambda: DeleteAccount(request=number, signature=(raw + bytes(64))[:64]),
        }
        return make[step]() if step in make else None

    def _send(self, who: Account, number: int, raw: bytes) -> Send:
        kind = tuple(Kind)[number // 6 % len(Kind)]
        message_id = (number % 8).to_bytes(16, "big")
        return Send(
            id=message_id,
            to=who.address,
            device=who.device,
            call=message_id if kind is Kind.MESSAGE else CALLS[number // 3 % 2],
            kind=kind,
            body=(raw + bytes(1024))[:1024],
        )

    def _damaged(self, number: int, raw: bytes) -> bytes:
        """Something that was said, with a piece of it replaced."""
        frame = self._said[number % len(self._said)].encode()
        at = number // 8 % (len(frame) + 1)
        return frame[:at] + raw + frame[at + number % 3 * len(raw) :]

    def _listen(self) -> None:
        """Hear everything: what is said always fits a frame."""
        for node in self.world.nodes.values():
            for message in node.hear_all():
                encode(message)
                if isinstance(message, Welcome):
                    self._welcomes.append(message)
                elif isinstance(message, Deliver) and message.record is not None:
                    self._records.append(message.record)
        gone = [number for number, node in self.world.nodes.items() if node.closed is not None]
        for number in gone:
            del self.world.nodes[number]
            self._hellos.pop(number, None)


_COUNTED: Final = 200
"""What a hub has learned that has seen everything: numbers by kind and code."""


def footprint(root: object) -> int:
    """How many things hang on an object: elements of containers, of those of the server and all that they hold."""
    seen: set[int] = set()
    waiting: deque[object] = deque([root])
    count = 0
    while waiting:
        here = waiting.popleft()
        if id(here) in seen:
            continue
        seen.add(id(here))
        count += 1
        waiting.extend(_parts(here))
    return count


def _parts(here: object) -> Iterator[object]:
    if isinstance(here, dict):
        yield from here.keys()
        yield from here.values()
    elif isinstance(here, list | tuple | set | frozenset | deque):
        yield from here
    elif type(here).__module__.startswith("entrenous_signaling") and not isinstance(here, Enum | Message):
        yield from vars(here).values() if hasattr(here, "__dict__") else ()
        for kind in type(here).__mro__:
            for name in getattr(kind, "__slots__", ()):
                if hasattr(here, name):
                    yield getattr(here, name)
