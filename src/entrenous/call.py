"""One call as its owner sees it: accept, mute, hang up, watch.

A `Call` is a handle; what happens behind it is the business of `conversation`, which reports here.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Protocol

from entrenous_wire.addresses import Address

from .errors import CallEnded, LocalProtocolError
from .events import CallEvent, CallOutcome, Ended
from .media.stats import CallStats
from .media.streams import Sink, Source, StreamKind
from .profile import Contact
from .protocol.states import CallState

MAX_EVENTS = 256
"""Events that wait for a reader; the oldest go first, `Ended` never."""


class CallControl(Protocol):
    """What a call can be told to do."""

    def accept(self, source: Source | None, sink: Sink | None) -> None:
        """Take the call with these media; without a source silence is sent."""

    def decline(self) -> None:
        """Refuse the call."""

    def hang_up(self) -> None:
        """End the call, at whatever point it is."""

    def mute(self, kind: StreamKind, muted: bool) -> None:
        """Switch one of our streams off or on."""

    async def send(self, source: Source | None, only: StreamKind | None) -> None:
        """Send what another source has, in place of all that is sent but the screen, or of one of the two."""

    async def share_screen(self, source: Source | None) -> None:
        """Share a screen, or no longer."""

    def hold(self, held: bool) -> None:
        """Put the call on hold, or go on with it."""

    def stats(self) -> CallStats:
        """Figures up to now."""


class Call:
    """A call with one peer.

    Attributes:
        id: 32 hexadecimal digits, known to both ends.
        peer: who it is with.
        outgoing: whether this side dialled.
        has_video: whether the caller announced a picture.
        contact: the peer's contact when the call began, None for a stranger.
        words: the three words once the handshake is complete: both people must see the same.
        verified: the peer's identity was compared before, or came by card.
        path: `direct` or `relay` once media can flow.
        state: where the call stands.
        outcome: how it ended, None before.
    """

    def __init__(
        self, call_id: bytes, peer: Address, *, outgoing: bool, has_video: bool, contact: Contact | None
    ) -> None:
        self.id = call_id.hex()
        self.peer = peer
        self.outgoing = outgoing
        self.has_video = has_video
        self.contact = contact
        self.words: tuple[str, str, str] | None = None
        self.path: str | None = None
        self.state = CallState.NEW
        self.outcome: CallOutcome | None = None
        self._control: CallControl | None = None
        self._final = CallStats()
        self._timings: dict[str, float] = {}
        self._events: deque[CallEvent] = deque(maxlen=MAX_EVENTS)
        self._news = asyncio.Event()
        self._active = asyncio.Event()
        self._over = asyncio.Event()

    def __repr__(self) -> str:
        direction = "to" if self.outgoing else "from"
        return f"<Call {direction} a peer, {self.state.value}>"

    @property
    def verified(self) -> bool:
        """Whether the peer's identity key is verified: by card or by comparing the safety number."""
        return self.contact is not None and self.contact.verified

    @property
    def timings(self) -> Mapping[str, float]:
        """When each stage was reached, in seconds of the monotonic clock.

        `dialled`, `keys`, `rang`, `alerting`, `accepted`, `secured`, `active`, `first_audio`, `first_video`,
        `ended`: those that apply.
        """
        return MappingProxyType(self._timings)

    async def accept(self, *, send: Source | None = None, receive: Sink | None = None) -> None:
        """Take the call.

        Args:
            send: what to send; None sends silence.
            receive: where to put what arrives; None drops it.

        Raises:
            CallEnded: it is over already.
            LocalProtocolError: it is an outgoing call, or was accepted before.
        """
        self._living().accept(send, receive)

    async def decline(self) -> None:
        """Refuse the call on all devices of this account; harmless when it is over."""
        if self._control is not None:
            self._control.decline()

    async def hang_up(self) -> None:
        """End the call, and wait until both media and connections are given back; harmless when it is over."""
        if self._control is not None:
            self._control.hang_up()
        await self._over.wait()

    def mute(self, kind: StreamKind, muted: bool) -> None:
        """Switch one of our streams off or on; the peer is told, an observer of the packets is not.

        Raises:
            CallEnded: it is over already.
        """
        self._living().mute(kind, muted)

    async def send(self, source: Source | None, *, only: StreamKind | None = None) -> None:
        """Send sound and picture of another source from now on; the peer is told when the camera goes on or off.

        The source before is closed once the new one has delivered, unless the other of the two still comes from it.
        To switch a camera on and off without touching the microphone, begin with the microphone alone.

        Args:
            source: not started yet; None: silence, and no picture.
            only: AUDIO or VIDEO, to leave the other as it is.

        Raises:
            MediaError: the source does not start; everything stays as it was.
            CallEnded: the call is over.
            LocalProtocolError: media are not open yet, or `only` is SCREEN.
        """
        await self._living().send(source, only)

    async def share_screen(self, source: Source | None) -> None:
        """Send the picture of a source beside that of the camera, as a shared screen; the peer is told.

        Args:
            source: not started yet, with a picture; None: share it no longer.

        Raises:
            MediaError: the source does not start; everything stays as it was.
            CallEnded: the call is over.
            LocalProtocolError: media are not open yet, or the source has no picture.
        """
        await self._living().share_screen(source)

    def hold(self, held: bool) -> None:
        """Put the call on hold, or go on with it: silence is sent, no picture, and nothing is played; the peer is told.

        Raises:
            CallEnded: it is over already.
        """
        self._living().hold(held)

    def stats(self) -> CallStats:
        """Figures up to now; after the end, those of the end."""
        return self._final if self._control is None else self._control.stats()

    async def wait_active(self) -> None:
        """Wait until media can flow; raises CallEnded when the call ends before."""
        over = asyncio.ensure_future(self._over.wait())
        active = asyncio.ensure_future(self._active.wait())
        try:
            await asyncio.wait((over, active), return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            active.cancel()
        if not self._active.is_set():
            self._living()

    async def wait_ended(self) -> CallOutcome:
        """Wait until the call is over and everything of it is given back."""
        await self._over.wait()
        assert self.outcome is not None  # set before the event is
        return self.outcome

    async def __aiter__(self) -> AsyncIterator[CallEvent]:
        """The call's events from its beginning, `Ended` last; for one reader."""
        while True:
            while self._events:
                event = self._events.popleft()
                yield event
                if isinstance(event, Ended):
                    return
            self._news.clear()
            await self._news.wait()

    def _living(self) -> CallControl:
        if self._control is None:
            if self.outcome is None:
                raise LocalProtocolError("The call has not begun.")
            raise CallEnded(self.outcome.reason.value, self.outcome.sentence)
        return self._control

    # What follows is for `conversation` and `node`, which own the call.

    def attach(self, control: CallControl) -> None:
        """Connect the handle to what carries the call out."""
        self._control = control

    def mark(self, stage: str, at: float | None = None) -> None:
        """Remember when a stage was reached for the first time."""
        self._timings.setdefault(stage, time.monotonic() if at is None else at)

    def announce(self, event: CallEvent) -> None:
        """Queue an event for the reader."""
        self._events.append(event)
        self._news.set()

    def became_active(self) -> None:
        """Media can flow."""
        self._active.set()

    def finish(self, outcome: CallOutcome, stats: CallStats) -> None:
        """The call is over and everything of it is given back."""
        self.outcome = outcome
        self._final = stats
        self._control = None
        self.announce(Ended(outcome))
        self._over.set()
