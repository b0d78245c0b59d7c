"""What happens behind one call: handshakes, sealed messages, legs and media, as the call machine asks for them.

The machine (`protocol`) decides, the conversation carries out: it seals and sends, opens what arrives and reports
it as verified facts, prepares legs, and keeps the gate. Each asynchronous step is a task that the conversation
owns; when the call has ended it waits for them, gives everything back and drops every key.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Final, assert_never

from entrenous_wire.messages import Kind

from .call import Call
from .call_legs import CallLegs
from .call_mail import CallMail
from .call_media import CallMedia
from .call_setup import CallSetup
from .call_tasks import CallTasks
from .crypto.handshake import CalleeHandshake, CallerHandshake
from .crypto.identity import VerifiedDevice
from .crypto.messages import InnerMessage, PleaseRestart
from .errors import EntrenousError, LocalProtocolError, MediaError, RemoteProtocolError
from .events import (
    Active,
    Alerting,
    CallOutcome,
    Connecting,
    FirstMedia,
    MediaProblem,
    PathChanged,
    Reconnecting,
    SendingEnded,
    WordsKnown,
)
from .media.devices import DeviceChange
from .media.events import LegPath
from .media.stats import CallStats
from .media.streams import Sink, Source, StreamKind
from .peer import PeerDevice
from .protocol import inputs, outputs
from .protocol.causes import Cause
from .protocol.inputs import Device, Leg
from .protocol.states import CallState, Role, Stage, is_answered
from .surroundings import Surroundings

log = logging.getLogger(__name__)

REVEAL_SECONDS: Final = 10.0
"""How long the callee waits for the caller to open its commitment."""


class Conversation:
    """One call at work; see the module.

    Args:
        call_id: 16 bytes.
        role: which end this device is.
        call: the handle that the owner of the call holds.
        around: the node.
    """

    def __init__(self, call_id: bytes, role: Role, call: Call, around: Surroundings) -> None:
        self.id = call_id
        self.role = role
        self.call = call
        self.media = CallMedia(around.engine, self)
        self._around = around
        self.peers: dict[Device, PeerDevice] = {}
        self._away: list[VerifiedDevice] = []
        self._media_leg: Leg | None = None
        self._tasks = CallTasks(self.broke)
        self._legs = CallLegs(call_id, role, self.media.streams, self, self._tasks, around)
        self._setup = CallSetup(self, self._legs, around)
        self._mail = CallMail(self, self._legs, around)
        self._finishing: asyncio.Task[None] | None = None
        call.attach(self)

    def __repr__(self) -> str:
        return f"<Conversation {self.role.value}, {len(self.peers)} devices>"

    # --- what the owner of the call asks for (CallControl) ---

    def accept(self, source: Source | None, sink: Sink | None) -> None:
        """Take the call with these media; raises LocalProtocolError when it does not ring here and is not over."""
        match self.call.state:
            case CallState.RINGING | CallState.ENDED:
                pass
            case (
                CallState.NEW
                | CallState.PREPARING
                | CallState.INVITING
                | CallState.ALERTING
                | CallState.ANSWERING
                | CallState.CONNECTING
                | CallState.ACTIVE
                | CallState.RECONNECTING
            ):
                raise LocalProtocolError("Only a call that rings here can be accepted, and only once.")
            case _:
                assert_never(self.call.state)
        self.media.source, self.media.sink = source, sink
        self._around.report(inputs.Accepted(self.id))

    def decline(self) -> None:
        """Refuse the call."""
        self._around.report(inputs.Declined(self.id))

    def hang_up(self) -> None:
        """End the call."""
        self._around.report(inputs.HungUp(self.id))

    def mute(self, kind: StreamKind, muted: bool) -> None:
        """Switch one of our streams off or on."""
        self.media.mute(kind, muted)

    async def send(self, source: Source | None, only: StreamKind | None) -> None:
        """Send what another source has."""
        await self.media.send(source, only)

    async def share_screen(self, source: Source | None) -> None:
        """Share a screen, None: no longer."""
        await self.media.share_screen(source)

    def hold(self, held: bool) -> None:
        """Put the call on hold, or go on with it."""
        self.media.hold(held)

    def stats(self) -> CallStats:
        """Figures up to now."""
        return replace(self.media.stats(), rekeys=self._mail.keys.renewals)

    # --- what the node does with it ---

    def add_peer(self, device: Device, handshake: CallerHandshake | CalleeHandshake) -> None:
        """Take a device of the other end into the call, with our half of the handshake with it."""
        self.peers[device] = PeerDevice(device, handshake, self._legs.connect)

    def could_not_ring(self, device: VerifiedDevice) -> None:
        """Note a device that is away for so long that it cannot be rung."""
        self._away.append(device)

    def unreached(self) -> list[VerifiedDevice]:
        """The devices of the callee that have not said that they ring."""
        handshakes = (peer.handshake for peer in self.peers.values())
        silent = [half.callee for half in handshakes if isinstance(half, CallerHandshake) and not half.ringing]
        return silent + self._away

    def take_over(self, other: Conversation) -> None:
        """Go on with the handle and the media choices of a call of ours that crossed this one."""
        self.call, other.call = other.call, self.call
        self.call.id, other.call.id = other.call.id, self.call.id
        self.media.choose_like(other.media)
        self.call.attach(self)
        other.call.attach(other)

    def network_changed(self) -> None:
        """An address, a route or a link of this machine came or went."""
        self._legs.network_changed()

    def cannot_connect(self, cause: Cause) -> None:
        """It is known before anything was tried that there can be no path."""
        self._around.report(inputs.LocalFailure(self.id, Stage.PATH, "", cause))

    async def wait_finished(self) -> None:
        """Wait until an ended call has given everything back."""
        if self._finishing is not None:
            await self._finishing

    # --- what the machine asks for ---

    def carry_out(self, output: outputs.Output) -> None:
        """Do one thing that the call machine asks for, or end the call with the reason why that cannot be done."""
        try:
            self._carry_out(output)
        except Exception as error:
            self.broke(error)

    def _carry_out(self, output: outputs.Output) -> None:
        match output:
            case outputs.FetchKeys():
                self._tasks.prepare(self._setup.fetch_keys(output.address))
            case outputs.SendRing():
                self._setup.ring(output.devices)
            case outputs.SendRinging():
                self._tasks.prepare(self._setup.send_ringing(output))
            case outputs.SendAccept(offer_leg=True):
                self._tasks.prepare(self._setup.send_accept_and_offer(output))
            case outputs.SendAccept():
                self._setup.send_accept(output)
            case outputs.SendEnd():
                self._mail.say_end(output)
            case outputs.SendPlease():
                please = PleaseRestart(output.leg.generation, output.stalled)
                self.say(self.peers[output.leg.device], please, output.kind)
            case outputs.AnswerLeg():
                self._tasks.prepare(self._legs.answer(output.leg))
            case outputs.StartLeg():
                self._tasks.prepare(self._legs.start(output.leg))
            case outputs.CloseLeg():
                self._legs.close(output.leg)
            case outputs.OpenMedia():
                self._tasks.prepare(self._open_media())
            case outputs.OpenGate() | outputs.MoveMedia():
                self._use_leg(output)
            case outputs.CloseMedia():
                self._tasks.spawn(self._close_media())
            case outputs.StateChanged():
                self._state_changed(output)
            case outputs.CarryOver():
                raise LocalProtocolError("The node carries calls over, since two conversations take part.")
            case _:
                assert_never(output)

    # --- what legs and set-up ask for ---

    @property
    def answered(self) -> bool:
        """Whether the call was accepted."""
        return is_answered(self.call.state)

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return self.call.state is CallState.ENDED

    @property
    def has_media(self) -> bool:
        """Whether media flows or has flowed."""
        return self._media_leg is not None

    @property
    def dropped(self) -> int:
        """What came from the peer and was not fit to be taken."""
        return self._mail.dropped

    def leg_secured(self) -> None:
        """A leg is secured."""
        self.call.mark("secured")

    def path_changed(self, leg: Leg, path: LegPath) -> None:
        """A leg goes on over another path."""
        self._around.doubt_server()
        if leg == self._media_leg:
            self.media.path_changed()
            self.call.path = path.kind.value
            self.call.announce(PathChanged(path.kind.value))

    def refused(self) -> None:
        """The peer said something that cannot be taken."""
        self._mail.dropped += 1

    def receive(self, device: Device, body: bytes, *, by_leg: bool = False) -> None:
        """Take a sealed body of a device of this call, from the server or a data channel."""
        self._mail.receive(device, body, by_leg=by_leg)

    def say(self, peer: PeerDevice, message: InnerMessage, kind: Kind) -> None:
        """Seal and send a message."""
        self._mail.say(peer, message, kind)

    def transmit(self, peer: PeerDevice, kind: Kind, body: bytes) -> None:
        """Send a sealed body."""
        self._mail.transmit(peer, kind, body)

    # --- media ---

    async def _open_media(self) -> None:
        """Open source and sink; the keys must stand, so at the callee the caller's nonce must have come."""
        peer = self._mail.partner if self.role is Role.CALLER else next(iter(self.peers.values()))
        assert peer is not None  # the caller's machine opens media when a device has accepted
        self._mail.partner = peer
        try:
            async with asyncio.timeout(REVEAL_SECONDS):
                await peer.words_known.wait()
        except TimeoutError:
            sentence = "The caller did not complete the key exchange in time. Ask them to call again."
            self._around.report(inputs.LocalFailure(self.id, Stage.HANDSHAKE, sentence, Cause.TIMEOUT))
            return
        self._show_words(peer)
        self._tasks.spawn(self._open_streams(peer))  # a camera that is being opened has to be closed properly

    async def _open_streams(self, peer: PeerDevice) -> None:
        await self.media.open(peer.handshake.secrets)
        self._around.report(inputs.MediaOpened(self.id))

    def _use_leg(self, output: outputs.OpenGate | outputs.MoveMedia) -> None:
        connection = self.peers[output.leg.device].connection(output.leg.generation)
        if connection is None:
            return
        self._media_leg = output.leg
        path = None if connection.path is None else connection.path.kind.value
        changed, self.call.path = path not in (None, self.call.path), path
        if isinstance(output, outputs.OpenGate):
            self._tasks.spawn(self.media.open_gate(connection))
            if self.role is Role.CALLER and self._legs.is_hidden(output.leg):
                self._around.report(inputs.BetterPath(self.id))
            return
        try:
            self.media.move(connection)
        except RemoteProtocolError as error:
            self._legs.failed(output.leg, error)
            return
        if changed and path is not None:
            self.call.announce(PathChanged(path))

    async def _close_media(self) -> None:
        try:
            await self.media.close()
        except MediaError as error:
            self.call.announce(MediaProblem(str(error)))

    def media_stalled(self) -> None:
        """Nothing has arrived for too long."""
        self._around.doubt_server()
        if self._media_leg is not None:
            self._around.report(inputs.Stalled(self.id, self._media_leg))

    def media_flows(self) -> None:
        """The peer is heard on the leg in use: for the first time, or again."""
        if self._media_leg is not None:
            self._around.report(inputs.Flowed(self.id, self._media_leg))

    def first_media(self, kind: StreamKind, at: float) -> None:
        """The first sound or picture was handed to the sink."""
        self.call.mark(f"first_{kind.value}", at)
        self.call.announce(FirstMedia(kind, at))

    def media_event(self, event: SendingEnded | MediaProblem | DeviceChange) -> None:
        """Something happened to a source or a sink; the call goes on."""
        self.call.announce(event)

    def media_changed(self) -> None:
        """What the peer is to know of what is sent has changed, or may have been lost with the leg before."""
        if self._mail.partner is not None and self._media_leg is not None and not self.over:
            self.say(self._mail.partner, self.media.state(), Kind.SIGNAL)

    def _show_words(self, peer: PeerDevice) -> None:
        words = peer.handshake.secrets.words
        if words is not None and self.call.words is None:
            self.call.words = words
            self.call.announce(WordsKnown(words, self.call.verified))

    # --- states ---

    def _state_changed(self, change: outputs.StateChanged) -> None:
        call = self.call
        call.state = change.new
        match change.new:
            case CallState.NEW | CallState.PREPARING | CallState.INVITING | CallState.RINGING:
                pass
            case CallState.ANSWERING:
                call.mark("accepted")
            case CallState.ALERTING:
                call.announce(Alerting())
            case CallState.CONNECTING:
                self._answered()
                call.announce(Connecting())
            case CallState.ACTIVE:
                self._answered()
                call.mark("active")
                call.announce(Active(call.path))
                call.became_active()
            case CallState.RECONNECTING:
                call.announce(Reconnecting())
            case CallState.ENDED:
                call.mark("ended")
                self._finishing = asyncio.ensure_future(self._finish(change))
            case _:
                assert_never(change.new)

    def _answered(self) -> None:
        self.call.mark("accepted")
        if self._mail.partner is not None:
            self._mail.keys.start(self._mail.partner.handshake.secrets)

    async def _finish(self, change: outputs.StateChanged) -> None:
        """Give everything back, drop the keys, then tell the owner."""
        self._mail.keys.stop()
        await self._tasks.finish()
        for peer in self.peers.values():
            peer.forget()
        assert change.reason is not None  # an ended call has one
        times = self.call.timings
        seconds = times["ended"] - times["accepted"] if "active" in times else None
        outcome = CallOutcome(change.reason, change.stage, change.sentence, seconds, change.cause, change.side)
        self.call.finish(outcome, self.media.stats())

    # --- what goes wrong ---

    def broke(self, error: Exception) -> None:
        """A step did not work: the call ends with a reason, never silently, and never the node with it."""
        if isinstance(error, EntrenousError):
            self._fail(str(error), Cause.MEDIA if isinstance(error, MediaError) else Cause.INTERNAL)
            return
        # The type only: a message or a local variable might hold what no log may have.
        log.error("a step of a call broke: %s", type(error).__name__)
        log.debug("where it broke", exc_info=error)
        self._fail("An internal error ended the call; ENTRENOUS_DEBUG=1 shows where.", Cause.INTERNAL)

    def _fail(self, sentence: str, cause: Cause | None) -> None:
        if not self.over:
            self._around.report(inputs.LocalFailure(self.id, Stage.MEDIA, sentence, cause))
