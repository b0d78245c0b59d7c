"""The legs of one call: which servers they may use, how they are described, what they report.

Descriptions and candidates travel sealed (`LegUser.say`); what happens to a leg is reported to the call machine.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Protocol, assert_never

from entrenous_wire.messages import Kind

from .call_servers import CallServers, has_relay, relays_of
from .call_tasks import CallTasks
from .crypto.messages import InnerMessage, LegAnswer, LegOffer
from .errors import EntrenousError, LocalProtocolError, RemoteProtocolError
from .media import events as media
from .media.engine import IceServer, LocalStreams
from .media.engine import Leg as Connection
from .peer import PeerDevice
from .protocol import inputs
from .protocol.causes import Cause
from .protocol.inputs import Device, Leg
from .protocol.states import Role, Stage
from .surroundings import Surroundings

log = logging.getLogger(__name__)


class LegUser(Protocol):
    """The conversation that the legs belong to."""

    peers: dict[Device, PeerDevice]

    @property
    def answered(self) -> bool:
        """Whether the call was accepted."""

    @property
    def has_media(self) -> bool:
        """Whether media flows or has flowed, so that what is opened now is for a hand-off."""

    def say(self, peer: PeerDevice, message: InnerMessage, kind: Kind) -> None:
        """Seal and send a message."""

    def receive(self, device: Device, body: bytes, *, by_leg: bool) -> None:
        """Take a sealed body that came over a data channel."""

    def leg_secured(self) -> None:
        """A leg is secured; for the timings of the call."""

    def path_changed(self, leg: Leg, path: media.LegPath) -> None:
        """A leg goes on over another path."""

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
        self.servers = CallServers(around.lease_servers, self._use_servers, tasks)
        self._hidden: set[Leg] = set()
        """Legs that show no address of ours: they know relays only."""

    def is_hidden(self, leg: Leg) -> bool:
        """Whether a leg shows no address of ours though the policy of the node would let it."""
        return leg in self._hidden and not self._around.relay_only

    def connect(self, device: Device, generation: int, relay_only: bool) -> Connection:
        """Make the connection of a leg."""
        leg = Leg(device, generation)
        relay_only = relay_only or self._around.relay_only
        if relay_only:
            self._hidden.add(leg)
        return self._around.engine.leg(
            generation,
            self._streams,
            controlling=self._role is Role.CALLER,
            relay_only=relay_only,
            ice_servers=self._servers_for(leg),
            on_event=lambda event: self._event(leg, event),
            peer_informed=lambda: self._around.has_delivered(device),
        )

    def network_changed(self) -> None:
        """An address of this machine came or went: every open leg looks for itself what that means."""
        for _, connection in self._open_legs():
            connection.network_changed()

    def _use_servers(self, _: Sequence[IceServer]) -> None:
        """Credentials were renewed: an open leg keeps its relay with them, and may need another one later."""
        for leg, connection in self._open_legs():
            connection.use_servers(self._servers_for(leg))

    def _servers_for(self, leg: Leg) -> Sequence[IceServer]:
        return relays_of(self.servers.current) if leg in self._hidden else self.servers.current

    def _open_legs(self) -> Iterator[tuple[Leg, Connection]]:
        for device, peer in self._user.peers.items():
            for generation, connection in peer.connections():
                yield Leg(device, generation), connection

    async def offer(self, peer: PeerDevice, generation: int, *, relay_only: bool = False) -> LegOffer | None:
        """Open a leg and describe it; None when it was closed meanwhile."""
        await self._learn_servers()
        return await peer.offer_leg(generation, relay_only=relay_only)

    async def start(self, leg: Leg) -> None:
        """Open a leg and offer it."""
        peer = self._user.peers[leg.device]
        offer = await self.offer(peer, leg.generation)
        if offer is not None:
            self._user.say(peer, offer, Kind.SIGNAL)
            self.say_candidates(peer, leg.generation)

    async def answer(self, leg: Leg) -> None:
        """Open a leg from the peer's offer, and answer it."""
        peer = self._user.peers[leg.device]
        await self._learn_servers()
        hidden = self._around.relay_until_accept and not self._user.answered
        try:
            answer = await peer.answer_leg(leg.generation, relay_only=hidden)
        except RemoteProtocolError as error:
            self.failed(leg, error)
            return
        if answer is not None:
            self._user.say(peer, answer, Kind.SIGNAL)
            self.say_candidates(peer, leg.generation)

    def take_answer(self, peer: PeerDevice, answer: LegAnswer) -> None:
        """Take the peer's answer to an offer of ours."""
        self._tasks.spawn(self._take_answer(peer, answer))

    async def _take_answer(self, peer: PeerDevice, answer: LegAnswer) -> None:
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
        self._hidden.discard(leg)
        connection = self._user.peers[leg.device].take_leg(leg.generation)
        if connection is not None:
            self._tasks.spawn(connection.close())

    def failed(self, leg: Leg, error: EntrenousError) -> None:
        """The peer described a leg that cannot be made."""
        self._user.refused()
        log.info("a leg failed: %s", type(error).__name__)
        self._around.report(inputs.LegFailed(self._call, leg, Stage.PATH))

    async def _learn_servers(self) -> None:
        """Wait for the servers where a leg may need them: a hand-off uses what is known."""
        await self.servers.learn(wait=self._around.relay_only or not self._user.has_media)

    def _event(self, leg: Leg, event: media.LegEvent) -> None:
        """Take what a leg tells; nothing of it may break the leg."""
        try:
            self._take_event(leg, event)
        except Exception as error:
            self._user.broke(error)

    def _take_event(self, leg: Leg, event: media.LegEvent) -> None:
        report, call = self._around.report, self._call
        peer = self._user.peers[leg.device]
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
                self._user.path_changed(leg, event.path)
            case media.DataOpen():
                peer.data_open(leg.generation)
            case media.Data():
                self._user.receive(leg.device, event.message, by_leg=True)
            case media.LegFailed():
                cause = None if event.cause is None else Cause(event.cause.value)
                relays = has_relay(self.servers.current)
                hidden = self.is_hidden(leg) or peer.hides(leg.generation)
                report(inputs.LegFailed(call, leg, Stage(event.stage.value), cause, relays, hidden))
            case media.LegClosed():
                report(inputs.LegClosed(call, leg))
            case _:
                assert_never(event)
