"""The legs of one call: which servers they may use, how they are described, what they report.

Descriptions and candidates travel sealed (`LegUser.say`); what happens to a leg is reported to the call machine.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Final, Protocol, assert_never

from entrenous_wire.messages import Kind

from .call_tasks import CallTasks
from .crypto.messages import InnerMessage, LegAnswer, LegOffer
from .errors import EntrenousError, LocalProtocolError, RemoteProtocolError
from .media import events as media
from .media.engine import IceServer, LocalStreams
from .media.engine import Leg as Connection
from .peer import PeerDevice
from .protocol import inputs
from .protocol.inputs import Device, Leg
from .protocol.states import Role, Stage
from .surroundings import Surroundings

log = logging.getLogger(__name__)

RELAY_SECONDS: Final = 300.0
"""How long relay credentials are used for new legs; they are good for twice that."""

RELAY_PATIENCE: Final = 2.0
"""How long a leg waits to hear of relays: a server that is away must not hold up what works without it."""


class LegUser(Protocol):
    """The conversation that the legs belong to."""

    @property
    def answered(self) -> bool:
        """Whether the call was accepted."""

    def peer(self, device: Device) -> PeerDevice:
        """The device at the other end of a leg."""

    def say(self, peer: PeerDevice, message: InnerMessage, kind: Kind) -> None:
        """Seal and send a message."""

    def receive(self, device: Device, body: bytes, *, by_leg: bool) -> None:
        """Take a sealed body that came over a data channel."""

    def leg_secured(self) -> None:
        """A leg is secured; for the timings of the call."""

    def refused(self) -> None:
        """The peer said something that cannot be taken."""

    def broke(self, error: Exception) -> None:
        """A step did not work; the call ends with the reason."""


class CallLegs:
    """Opens, describes and watches the legs of a call.

    Args:
        call: the call id.
        role: which end this device is; the caller decides on ICE pairs.
        streams: the stream numbers of the call.
        user: the conversation.
        tasks: those of the call.
        around: the node.
    """

    def __init__(
        self,
        call: bytes,
        role: Role,
        streams: LocalStreams,
        user: LegUser,
        tasks: CallTasks,
        around: Surroundings,
    ) -> None:
        self._call = call
        self._role = role
        self._streams = streams
        self._user = user
        self._tasks = tasks
        self._around = around
        self._servers: Sequence[IceServer] = ()
        self._servers_good_until = 0.0
        self._asking: asyncio.Task[Sequence[IceServer]] | None = None
        self._hidden: set[Leg] = set()

    def is_hidden(self, leg: Leg) -> bool:
        """Whether a leg shows no address of ours, because it was answered before the call was."""
        return leg in self._hidden

    def connect(self, device: Device, generation: int, relay_only: bool) -> Connection:
        """Make the connection of a leg."""
        leg = Leg(device, generation)
        return self._around.engine.leg(
            generation,
            self._streams,
            controlling=self._role is Role.CALLER,
            relay_only=relay_only or self._around.relay_only,
            ice_servers=self._servers,
            on_event=lambda event: self._event(leg, event),
        )

    async def offer(self, peer: PeerDevice, generation: int, *, relay_only: bool = False) -> LegOffer | None:
        """Open a leg and describe it; None when it was closed meanwhile."""
        await self.learn_servers()
        return await peer.offer_leg(generation, relay_only=relay_only)

    async def start(self, leg: Leg) -> None:
        """Open a leg and offer it."""
        peer = self._user.peer(leg.device)
        offer = await self.offer(peer, leg.generation)
        if offer is not None:
            self._user.say(peer, offer, Kind.SIGNAL)
            self.say_candidates(peer, leg.generation)

    async def answer(self, leg: Leg) -> None:
        """Open a leg from the peer's offer, and answer it."""
        peer = self._user.peer(leg.device)
        await self.learn_servers()
        hidden = self._around.relay_until_accept and not self._user.answered
        try:
            answer = await peer.answer_leg(leg.generation, relay_only=hidden)
        except RemoteProtocolError as error:
            self.failed(leg, error)
            return
        if answer is not None:
            if hidden:
                self._hidden.add(leg)
            self._user.say(peer, answer, Kind.SIGNAL)
            self.say_candidates(peer, leg.generation)

    async def take_answer(self, peer: PeerDevice, answer: LegAnswer) -> None:
        """Take the peer's answer to an offer of ours."""
        try:
            await peer.take_answer(answer)
        except (RemoteProtocolError, LocalProtocolError) as error:
            self.failed(Leg(peer.device, answer.generation), error)

    def say_candidates(self, peer: PeerDevice, generation: int) -> None:
        """Our description is said: now its later candidates make sense to the peer."""
        for candidate in peer.described(generation):
            self._user.say(peer, candidate, Kind.SIGNAL)

    def close(self, leg: Leg) -> None:
        """Close a leg and free what it holds."""
        connection = self._user.peer(leg.device).take_leg(leg.generation)
        if connection is not None:
            self._tasks.spawn(connection.close())

    def failed(self, leg: Leg, error: EntrenousError) -> None:
        """The peer described a leg that cannot be made."""
        self._user.refused()
        log.info("a leg failed: %s", type(error).__name__)
        self._around.report(inputs.LegFailed(self._call, leg, Stage.PATH))

    async def learn_servers(self) -> None:
        """Ask for relays, and again when their credentials grow old; the old ones stay when nobody answers."""
        if self._servers and time.monotonic() < self._servers_good_until:
            return
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._around.ice_servers())
            self._tasks.adopt(self._asking)
        asking = self._asking
        await asyncio.wait({asking}, timeout=RELAY_PATIENCE)
        if asking.done() and asking is self._asking:
            self._asking = None
            self._servers = asking.result() or self._servers
            self._servers_good_until = time.monotonic() + RELAY_SECONDS

    def _event(self, leg: Leg, event: media.LegEvent) -> None:
        """Take what a leg tells; nothing of it may break the leg."""
        try:
            self._take_event(leg, event)
        except Exception as error:
            self._user.broke(error)

    def _take_event(self, leg: Leg, event: media.LegEvent) -> None:
        report, call = self._around.report, self._call
        peer = self._user.peer(leg.device)
        match event:
            case media.CandidateGathered():
                candidate = peer.gathered(leg.generation, event.line)
                if candidate is not None:
                    self._user.say(peer, candidate, Kind.SIGNAL)
            case media.PathFound():
                report(inputs.PathFound(call, leg))
            case media.Secured():
                self._user.leg_secured()
                report(inputs.Secured(call, leg))
            case media.PathChanged():
                log.info("a leg moved: %s", event.path.kind)
            case media.DataOpen():
                peer.data_open(leg.generation)
            case media.Data():
                self._user.receive(leg.device, event.message, by_leg=True)
            case media.LegFailed():
                report(inputs.LegFailed(call, leg, Stage(event.stage.value)))
            case media.LegClosed():
                report(inputs.LegClosed(call, leg))
            case _:
                assert_never(event)
