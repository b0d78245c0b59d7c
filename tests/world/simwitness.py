"""Who sees all that devices of the simulation say, hear and do, and knows what must hold of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from entrenous.protocol.inputs import Device, Input, Leg
from entrenous.protocol.states import CallState, EndReason
from entrenous_wire.messages import Accepted, Deliver, Send

from .simserver import TOKENS, SimServer


@dataclass(frozen=True)
class LegAnswered:
    """The answer to a leg offer arrived: both ends can begin."""

    call: bytes
    leg: Leg


Said = Input | LegAnswered
"""What a message says; its body is padding."""

Lane = tuple[Device, int, Device]
"""From one process of a device, told apart by its number, to another device."""


class Witness:
    """What was said and what became of each call, of all devices of a run.

    Args:
        server: over which they talk.
    """

    def __init__(self, server: SimServer) -> None:
        self.messages = 0
        """That came out of sessions."""
        self.seen_states: Counter[CallState] = Counter()
        self.reasons: Counter[EndReason] = Counter()
        self.carried_over: dict[bytes, bytes] = {}
        self.tokens: dict[bytes, set[bytes]] = {}
        """Of the records that devices were told of, by call."""
        self._server = server
        self._heard: set[bytes] = set()
        self._accepted_at: dict[bytes, float] = {}
        self._ended_at: dict[bytes, list[float]] = {}
        self._facts: dict[bytes, Said] = {}
        self._call_of: dict[bytes, bytes] = {}
        self._order: dict[bytes, tuple[Lane, int]] = {}
        self._sent: Counter[Lane] = Counter()
        self._arrived: dict[tuple[Lane, int], int] = {}
        self._delivered: set[bytes] = set()

    # --- messages ---

    def note_sent(self, sender: Device, incarnation: int, message: Send, fact: Said) -> None:
        """A message was handed to a session."""
        lane = (sender, incarnation, Device(message.to, message.device))
        self._facts[message.id] = fact
        self._order[message.id] = (lane, self._sent[lane])
        self._sent[lane] += 1
        self._call_of[message.id] = message.call

    def note_arrived(self, receiver: Device, incarnation: int, message: Deliver) -> Said:
        """A message came out of a session: once, in order, and at the right device; what it says."""
        lane, number = self._order[message.id]
        key = (lane, incarnation)
        assert lane[2] == receiver
        assert number > self._arrived.get(key, -1), "repeated or out of order"
        self._arrived[key] = number
        self._delivered.add(message.id)
        self.messages += 1
        return self._facts[message.id]

    def check_delivered(self, message_id: bytes) -> None:
        """What the sender was told is delivered has come out at the receiver."""
        assert message_id in self._delivered

    # --- calls ---

    def note_accepted(self, call: bytes, now: float) -> None:
        """A device accepts a call."""
        self._accepted_at.setdefault(call, now)

    def note_ended(self, call: bytes, now: float) -> None:
        """A device is in a call no more."""
        self._ended_at.setdefault(call, []).append(now)

    def note_record(self, message: Accepted | Deliver, ended: Collection[bytes]) -> None:
        """The server said what the record of a call is to a device for which these calls are over."""
        assert message.record is not None
        call = message.call if isinstance(message, Deliver) else self._call_of[message.id]
        token = TOKENS.of_row(call)
        assert TOKENS.tell_who_called(message.record, call) is isinstance(message, Deliver)
        self.tokens.setdefault(call, set()).add(token)
        goes_on = call not in ended and token not in self._server.discarded
        if isinstance(message, Deliver) and goes_on:
            self._heard.add(token)

    def check_records(self) -> None:
        """One record for each answered call whose accept was heard of, with a duration that is about right."""
        server = self._server
        assert not server.store.open_rows
        assert all(count == 1 for count in server.closed.values()), "a record was closed twice"
        known: set[bytes] = set()
        for call, tokens in self.tokens.items():
            closed = [token for token in tokens if token in server.closed]
            known |= tokens
            if tokens <= server.discarded - self._heard and not closed:
                continue  # it was accepted at one node while the caller had given it up at another
            assert len(closed) == 1, f"{len(closed)} records for one call"
            talked = max(self._ended_at[call]) - self._accepted_at[call]
            duration = server.durations[closed[0]]
            assert abs(duration - talked) <= 70.0, f"a record says {duration} s of a call of {talked} s"
        unheard = set(server.closed) - known
        assert len(unheard) <= server.kills, "records that no node ever heard of, without a killed server"
