"""One device of the other end within one call: its handshake, its sealed channel and its legs."""

from __future__ import annotations

import time
from asyncio import Event
from collections import deque
from collections.abc import Callable
from typing import Final

from .crypto.handshake import CalleeHandshake, CallerHandshake, Refused, Ringing
from .crypto.messages import Candidate, End, InnerMessage, LegAnswer, LegOffer
from .errors import LocalProtocolError, RemoteProtocolError
from .media.engine import Leg as Connection
from .protocol.inputs import Device

MAX_FAILURES: Final = 32
"""Bodies of one device that may fail to verify before the call is ended for it."""

MAX_EARLY_CANDIDATES: Final = 64
"""Candidates of a leg that wait for the description they belong to, in either direction."""


class _OpenLeg:
    """A leg and the candidates that came before the descriptions that they belong to."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.described = False
        """Whether the peer has our description, so that it can make use of our candidates."""
        self.connecting = False
        """Whether we have the peer's description."""
        self.peer_hides = True
        """Whether the peer has shown nothing but relays so far."""
        self.early_local: deque[str | None] = deque(maxlen=MAX_EARLY_CANDIDATES)
        self.early_remote: deque[str | None] = deque(maxlen=MAX_EARLY_CANDIDATES)


class PeerDevice:
    """What this device shares with one device of the peer.

    Args:
        device: the peer's device.
        handshake: the caller's or the callee's half.
        connect: makes the connection of a leg: its device, its generation, and whether only relays may be used.
    """

    def __init__(
        self,
        device: Device,
        handshake: CallerHandshake | CalleeHandshake,
        connect: Callable[[Device, int, bool], Connection],
    ) -> None:
        self.device = device
        self.handshake = handshake
        self.words_known = Event()
        """Set when both nonces are known here: before that no frame may pass."""
        self.failures = 0
        self._connect = connect
        self._legs: dict[int, _OpenLeg] = {}
        self._offers: dict[int, str] = {}
        self._waiting: dict[int, deque[str | None]] = {}
        self._closed_up_to = -1
        self._data_open: set[int] = set()

    def __repr__(self) -> str:
        return f"<PeerDevice, {len(self._legs)} legs, {self.failures} failures>"

    # --- sealed messages ---

    def receive(self, body: bytes) -> Ringing | Refused | InnerMessage:
        """Open a body from this device.

        Raises:
            Replayed: it came before, by another path.
            RemoteProtocolError: it does not verify or makes no sense; nothing has changed.
        """
        match self.handshake:
            case CallerHandshake():
                return self.handshake.receive(body, time.time())
            case CalleeHandshake():
                return self.handshake.receive(body)

    def answer_ring(self, offer: LegOffer | None) -> bytes:
        """The sealed `ringing`; the keys stand from here on.

        Raises:
            LocalProtocolError: this is the caller, or the ring was answered already.
        """
        if not isinstance(self.handshake, CalleeHandshake):
            raise LocalProtocolError("Only a callee answers a ring.")
        return self.handshake.answer(offer)

    def seal(self, message: InnerMessage) -> bytes:
        """Seal a message for this device; an `End` also before there is a channel.

        Raises:
            LocalProtocolError: there are no keys yet, or none any more.
        """
        if isinstance(message, End):
            return self.handshake.end(message)
        return self.handshake.secrets.seal(message)

    def send_data(self, body: bytes) -> bool:
        """Send a sealed body over the newest data channel that takes it; False when none does."""
        for generation in sorted(self._data_open, reverse=True):
            try:
                self._legs[generation].connection.send_data(body)
            except LocalProtocolError:
                continue
            return True
        return False

    # --- legs ---

    def connection(self, generation: int) -> Connection | None:
        """The open leg of a generation."""
        leg = self._legs.get(generation)
        return None if leg is None else leg.connection

    def connections(self) -> list[tuple[int, Connection]]:
        """Every open leg, by generation."""
        return [(generation, leg.connection) for generation, leg in self._legs.items()]

    def hides(self, generation: int) -> bool:
        """Whether the peer has shown nothing but relays on a leg: another one may show more."""
        leg = self._legs.get(generation)
        return leg is not None and leg.peer_hides

    def data_open(self, generation: int) -> None:
        """The data channel of a leg works; the newest one is used, and one before it where that fails."""
        if generation in self._legs:
            self._data_open.add(generation)

    def note_offer(self, offer: LegOffer) -> None:
        """Keep an offer until it is answered; the newest one only."""
        generation = offer.generation
        self._offers = {generation: offer.description}
        self._waiting = {generation: self._waiting.get(generation, deque(maxlen=MAX_EARLY_CANDIDATES))}

    async def offer_leg(self, generation: int, *, relay_only: bool) -> LegOffer | None:
        """Open a leg and describe it; None when it was closed meanwhile."""
        if self._is_closed(generation):
            return None
        description = await self._open(generation, relay_only).connection.offer()
        return None if self._is_closed(generation) else LegOffer(generation, description)

    async def answer_leg(self, generation: int, *, relay_only: bool) -> LegAnswer | None:
        """Open a leg from the offer that was noted, and answer it; None when it was closed or replaced meanwhile.

        Raises:
            RemoteProtocolError: the offer makes no sense.
        """
        description = self._offers.pop(generation, None)
        if description is None or self._is_closed(generation):
            return None
        leg = self._open(generation, relay_only)
        leg.early_remote.extend(self._waiting.pop(generation, ()))
        self._look_at(leg, description)
        answer = await leg.connection.answer(description)
        if self._is_closed(generation):
            return None
        self._take_early(leg)
        return LegAnswer(generation, answer)

    async def take_answer(self, answer: LegAnswer) -> None:
        """Take the peer's answer to an offer of ours.

        Raises:
            RemoteProtocolError: there is no such leg, or the answer makes no sense.
        """
        leg = self._legs.get(answer.generation)
        if leg is None or leg.connecting:
            raise RemoteProtocolError("An answer came to a leg that was not offered.")
        leg.connecting = True
        self._look_at(leg, answer.description)
        await leg.connection.accept_answer(answer.description)
        self._take_early(leg)

    def described(self, generation: int) -> list[Candidate]:
        """Our description is on its way: the candidates that had to wait for that."""
        leg = self._legs.get(generation)
        if leg is None:
            return []
        leg.described = True
        waiting = [Candidate(generation, line) for line in leg.early_local]
        leg.early_local.clear()
        return waiting

    def gathered(self, generation: int, line: str | None) -> Candidate | None:
        """A candidate of ours: to be said now, or None while it has to wait for our description."""
        leg = self._legs.get(generation)
        if leg is None:
            return None
        if leg.described:
            return Candidate(generation, line)
        leg.early_local.append(line)
        return None

    def take_candidate(self, candidate: Candidate) -> None:
        """Take a candidate of the peer, now or once its description is taken; raises RemoteProtocolError."""
        leg = self._legs.get(candidate.generation)
        if leg is not None:
            self._look_at(leg, candidate.candidate or "")
        if leg is None:
            self._keep_early(candidate)
        elif leg.connecting and not leg.early_remote:
            leg.connection.add_candidate(candidate.candidate)
        else:
            leg.early_remote.append(candidate.candidate)

    def take_leg(self, generation: int) -> Connection | None:
        """Hand a leg over to be closed."""
        self._closed_up_to = max(self._closed_up_to, generation)
        leg = self._legs.pop(generation, None)
        self._offers.pop(generation, None)
        self._data_open.discard(generation)
        return None if leg is None else leg.connection

    def forget(self) -> None:
        """Drop every key: the call is over for this device."""
        self.handshake.forget()

    def _is_closed(self, generation: int) -> bool:
        """Legs are opened in the order of their generations: before one that was closed, only open ones still count."""
        return generation <= self._closed_up_to and generation not in self._legs

    def _keep_early(self, candidate: Candidate) -> None:
        """An address of a leg that is not open: its offer waits, or is still on its way by the slower of two paths."""
        generation = candidate.generation
        if generation not in self._waiting:
            if generation <= max((self._closed_up_to, *self._legs, *self._waiting)):
                return
            kept = {older: self._waiting[older] for older in self._offers if older in self._waiting}
            self._waiting = {**kept, generation: deque(maxlen=MAX_EARLY_CANDIDATES)}
        self._waiting[generation].append(candidate.candidate)

    def _open(self, generation: int, relay_only: bool) -> _OpenLeg:
        leg = _OpenLeg(self._connect(self.device, generation, relay_only))
        self._legs[generation] = leg
        return leg

    @staticmethod
    def _look_at(leg: _OpenLeg, text: str) -> None:
        leg.peer_hides &= not any(f" typ {kind}" in text for kind in ("host", "srflx", "prflx"))

    def _take_early(self, leg: _OpenLeg) -> None:
        leg.connecting = True
        while leg.early_remote:
            line = leg.early_remote.popleft()
            self._look_at(leg, line or "")
            leg.connection.add_candidate(line)
