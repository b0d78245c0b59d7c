"""Call records on several nodes over one store: devices that accept, talk, end, move and are cut off; nodes that die.

Real are the records of each node. Simulated are time, the store, the way between the nodes, and the devices, which do
what real ones do as far as records go: they hold what they say until it is settled, claim calls that go on when they
come back, and forget those that are over. One seed makes one run.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from entrenous_signaling.call_rows import Kept, Waiter
from entrenous_signaling.calls import CallRecords
from entrenous_signaling.counters import Counters
from entrenous_signaling.mailbox import DeviceKey
from entrenous_signaling.outputs import Execute, Outbox
from entrenous_signaling.store.requests import Failed
from entrenous_wire.messages import Kind

from .clock import Appointment, Clock
from .memorystore import MemoryStore

START = 1_000_000.0
GRACE = 60.0
AGAIN_SECONDS = 2.0
"""After which a device says again what was not settled."""


class RecordNode:
    """One node: it can be killed, and is another one then.

    Args:
        clock: simulated time.
        draw: the randomness of the run.
        store: which it shares with the others.
    """

    def __init__(self, clock: Clock, draw: random.Random, store: MemoryStore) -> None:
        self.told: dict[Waiter, Kept] = {}
        self.failing = False
        """Whether its way to the store is broken."""
        self._clock = clock
        self._draw = draw
        self._store = store
        self._free_at = 0.0
        self._timer: Appointment | None = None
        self.start()

    def start(self) -> None:
        """A process begins with nothing but the store."""
        self.told.clear()
        self.outbox = Outbox()
        self.records = CallRecords(
            self.outbox,
            self.told.__setitem__,
            key=b"key",
            grace_seconds=GRACE,
            per_account=1000,
            counters=Counters(),
            now=self._clock.now,
            shared=True,
        )
        self.carry_out()

    def carry_out(self) -> None:
        """Hand to the store what was asked of it: it answers in order, and each in its time."""
        outbox = self.outbox
        for output in outbox.take():
            assert isinstance(output, Execute)
            self._free_at = max(self._free_at, self._clock.now + self._draw.uniform(0.002, 0.2))
            self._clock.at(self._free_at, partial(self._execute, outbox, output))
        if self._timer is not None:
            self._timer.cancel()
        due = self.records.next_deadline()
        self._timer = None if due is None else self._clock.at(due, self._tick)

    def _execute(self, outbox: Outbox, execute: Execute) -> None:
        if outbox is not self.outbox:
            return  # it was killed before
        result = Failed.FAILED if self.failing else self._store.apply(execute.request)
        outbox.resolve(execute.ticket, result, self._clock.now)
        self.carry_out()

    def _tick(self) -> None:
        self.records.tick(self._clock.now)
        self.carry_out()


@dataclass(eq=False)
class Said:
    """A message that a device holds until it is settled: on disk here, and heard there."""

    kind: Kind
    call: bytes
    sender: Party
    receiver: Party
    id: bytes
    token: bytes | None = None
    heard: bool = False
    said_to: RecordNode | None = None
    outbox: Outbox | None = None


@dataclass(eq=False)
class Party:
    """A device."""

    key: DeviceKey
    node: RecordNode
    connected: bool = True
    held: list[Said] = field(default_factory=list)
    tokens: dict[bytes, tuple[bytes, Party]] = field(default_factory=dict)
    """Of calls that go on: what to claim, and with whom."""
    over: set[bytes] = field(default_factory=set)


@dataclass
class Talk:
    """What really happened in a call: when the caller heard that it was accepted, and when somebody hung up."""

    begun: float | None = None
    ended: float | None = None


class CountingStore(MemoryStore):
    """Knows which records were closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed: dict[bytes, list[int]] = {}
        """The durations of the records of each token."""

    def _close(self, token: bytes, at: int) -> int:
        duration = super()._close(token, at)
        self.closed.setdefault(token, []).append(duration)
        return duration


class RecordWorld:
    """One run.

    Args:
        seed: makes it what it is.
        nodes: how many.
    """

    def __init__(self, seed: int, nodes: int = 3) -> None:
        self.draw = random.Random(seed)
        self.clock = Clock(START)
        self.store = CountingStore()
        self.nodes = [RecordNode(self.clock, self.draw, self.store) for _ in range(nodes)]
        self.talks: dict[bytes, Talk] = {}
        self.tokens: dict[bytes, bytes] = {}
        self._lanes: dict[tuple[int, int], float] = {}
        self._ids = 0

    def party(self, name: str, device: str = "1") -> Party:
        """A new device, somewhere."""
        return Party(DeviceKey(name, device), self.draw.choice(self.nodes))

    # --- what devices do ---

    def say(self, kind: Kind, call: bytes, sender: Party, receiver: Party) -> None:
        """A device says something, as often as it takes."""
        talk = self.talks.setdefault(call, Talk())
        self._hold(kind, call, sender, receiver)
        if kind is Kind.END:
            talk.ended = self.clock.now if talk.ended is None else talk.ended
            self.finish(sender, call)
        self._speak(sender)

    def _hold(self, kind: Kind, call: bytes, sender: Party, receiver: Party) -> None:
        self._ids += 1
        sender.held.append(Said(kind, call, sender, receiver, self._ids.to_bytes(16, "big")))

    def finish(self, party: Party, call: bytes) -> None:
        """The call is over at this device: it forgets an accept that nobody has heard of, and claims no more."""
        party.over.add(call)
        party.held = [said for said in party.held if said.call != call or said.kind is Kind.END]
        self._tidy(party)

    def _tidy(self, party: Party) -> None:
        """A call is claimed until its end is out."""
        held = {said.call for said in party.held}
        for call in [call for call in party.tokens if call in party.over and call not in held]:
            del party.tokens[call]

    def cut(self, party: Party, seconds: float) -> None:
        """A device is away for so long, and comes back to any node."""
        if party.connected:
            party.connected = False
            party.node.records.left(party.key, self.clock.now)
            party.node.carry_out()
            self.clock.after(seconds, lambda: self._come_back(party))

    def kill(self, node: RecordNode, parties: list[Party]) -> None:
        """A node dies, with all that it did not store, and is back at once; its devices are so later."""
        node.start()
        for party in parties:
            if party.node is node and party.connected:
                party.connected = False
                self.clock.after(self.draw.uniform(0.5, 30.0), partial(self._come_back, party))

    def _come_back(self, party: Party) -> None:
        before, party.node = party.node, self.draw.choice(self.nodes)
        party.connected = True
        records, now = party.node.records, self.clock.now
        if party.node is not before:
            before.records.moved(party.key, now)
            before.carry_out()
        records.started_afresh(party.key, now)
        for call, (token, peer) in party.tokens.items():
            records.claimed(party.key, call, token, peer.key, now, over=call in party.over)
        for said in party.held:  # it says them again, and is known by that to be in the call
            if said.token is not None and said.heard:
                records.heard_of(said.call, party.key, said.receiver.key, now, called=False)
        party.node.carry_out()
        self._speak(party)

    # --- what becomes of it ---

    def _speak(self, party: Party) -> None:
        """Say the oldest message to each receiver, and again until it is settled."""
        if not party.connected:
            return
        party.held = [said for said in party.held if not self._settled(said)]
        self._tidy(party)
        busy: set[DeviceKey] = set()
        for said in list(party.held):
            if said.receiver.key not in busy:
                busy.add(said.receiver.key)
                self._route(said)
        if party.held:
            self.clock.after(AGAIN_SECONDS, lambda: self._speak(party))

    def _settled(self, said: Said) -> bool:
        kept = None if said.said_to is None else said.said_to.told.get((said.sender.key, said.id))
        if kept is Kept.STORED and said.token is not None and said.call not in said.sender.over:
            said.sender.tokens.setdefault(said.call, (said.token, said.receiver))
        return said.heard and kept in (Kept.STORED, Kept.OVER)

    def _route(self, said: Said) -> None:
        node, now, waiter = said.sender.node, self.clock.now, (said.sender.key, said.id)
        home = said.receiver.node
        if said.said_to is node and said.outbox is node.outbox and said.heard:
            if node.told.get(waiter) is Kept.FAILED and not node.records.retry(said.call, waiter):
                node.told[waiter] = Kept.STORED
            if said.token is not None:
                node.records.heard_of(said.call, said.sender.key, said.receiver.key, now, called=False)
            node.carry_out()
            return
        said.said_to, said.outbox = node, node.outbox
        if said.kind is Kind.ACCEPT:
            elsewhere = home is not node
            connected = said.receiver.connected and not elsewhere
            receiver = said.receiver.key
            said.token = node.records.accepted(
                *(said.call, said.sender.key, receiver),
                connected=connected,
                waiter=waiter,
                now=now,
                elsewhere=elsewhere,
            )
            if said.token is None:
                node.told[waiter] = Kept.OVER
        elif not node.records.ended(
            said.call, said.sender.key, said.receiver.key, waiter, now, elsewhere=home is not node
        ):
            node.told[waiter] = Kept.STORED
        node.carry_out()
        if home is node:
            self._deliver(said)
        else:
            self._carry(node, home, lambda: self._forwarded(said, home))

    def _forwarded(self, said: Said, home: RecordNode) -> None:
        now = self.clock.now
        if home is not said.receiver.node:
            return  # it has moved meanwhile: the message is said again
        if said.kind is Kind.ACCEPT:
            joined = home.records.joined(
                said.call, said.sender.key, said.receiver.key, connected=said.receiver.connected, now=now
            )
            said.token = None if joined is None else said.token
        else:
            home.records.ended(said.call, said.sender.key, said.receiver.key, None, now)
        home.carry_out()
        self._deliver(said)

    def _carry(self, here: RecordNode, there: RecordNode, action: Callable[[], None]) -> None:
        """From node to node, in order, and lost when one of them dies."""
        lane = (id(here.outbox), id(there.outbox))
        self._lanes[lane] = max(self._lanes.get(lane, 0.0), self.clock.now + self.draw.uniform(0.001, 1.0))
        outboxes = here.outbox, there.outbox
        self.clock.at(self._lanes[lane], lambda: action() if outboxes == (here.outbox, there.outbox) else None)

    def _deliver(self, said: Said) -> None:
        if not said.receiver.connected:
            return
        said.heard = True
        call, caller = said.call, said.receiver
        if said.kind is Kind.END:
            if call in caller.tokens and caller.tokens[call][1] is said.sender:
                del caller.tokens[call]
            self.finish(caller, call)
            return
        if call in caller.over:
            self._hold(Kind.END, call, caller, said.sender)
            self._speak(caller)
        if call in caller.over or said.token is None:
            return
        now = self.clock.now
        caller.node.records.heard_of(call, caller.key, said.sender.key, now, called=True)
        caller.node.carry_out()
        self.tokens[call] = said.token
        if call not in caller.tokens:
            caller.tokens[call] = (caller.node.records.tokens.of_caller(call), said.sender)
            self.talks[call].begun = now
        elif caller.tokens[call][1] is not said.sender:
            self._hold(Kind.END, call, caller, said.sender)
            self._speak(caller)
