"""What happens behind one call: handshakes, sealed messages, legs and media, as the call machine asks for them.

The machine (`protocol`) decides, the conversation carries out: it seals and sends, opens what arrives and reports
it as verified facts, prepares legs, and keeps the gate. Each asynchronous step is a task that the conversation
owns; when the call has ended it waits for them, gives everything back and drops every key.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol, assert_never

from entrenous_wire.addresses import Address
from entrenous_wire.messages import ErrorCode, Kind

from .call import Call
from .call_media import CallMedia
from .crypto.handshake import CalleeHandshake, CallerHandshake, Refused, Ringing
from .crypto.identity import VerifiedDevice
from .crypto.messages import (
    Accept,
    Candidate,
    End,
    InnerMessage,
    LegAnswer,
    LegOffer,
    MediaState,
    PleaseRestart,
    RekeyAnswer,
    RekeyDone,
    RekeyOffer,
    Reveal,
)
from .errors import EntrenousError, LocalProtocolError, MediaError, RemoteProtocolError, Replayed, RequestRefused
from .events import (
    Active,
    Alerting,
    CallOutcome,
    Connecting,
    FirstMedia,
    MediaProblem,
    PathChanged,
    PeerMuted,
    Reconnecting,
    Rekeyed,
    SendingEnded,
    WordsKnown,
)
from .media import events as media
from .media.engine import IceServer, MediaEngine
from .media.engine import Leg as Connection
from .media.stats import CallStats
from .media.streams import Sink, Source, StreamKind
from .peer import MAX_FAILURES, PeerDevice
from .protocol import inputs, outputs
from .protocol.inputs import Device, EarlyLeg, Leg
from .protocol.states import CallState, EndReason, Role, Stage, is_answered

log = logging.getLogger(__name__)

CLEANUP_SECONDS: Final = 5.0
"""How long what belongs to an ended call may take to stop."""

REVEAL_SECONDS: Final = 10.0
"""How long the callee waits for the caller to open its commitment."""

RELAY_SECONDS: Final = 300.0
"""How long relay credentials are used for new legs; they are good for twice that."""

RELAY_PATIENCE: Final = 2.0
"""How long a leg waits to hear of relays: a server that is away must not hold up what works without it."""

TICK_SECONDS: Final = 1.0
"""How often an answered call looks after its keys."""


class Surroundings(Protocol):
    """What a conversation needs of the node around it."""

    engine: MediaEngine
    me: Device

    @property
    def relay_only(self) -> bool:
        """Whether no address of this machine may be shown to anybody."""

    @property
    def relay_until_accept(self) -> bool:
        """Whether no address of this machine may be shown while it rings."""

    def report(self, fact: inputs.Input) -> None:
        """Tell the call machine a fact."""

    def send(self, device: Device, call: bytes, kind: Kind, body: bytes) -> None:
        """Hand a sealed body to the signaling server, now or when it is back."""

    async def fetch_devices(self, address: Address) -> Sequence[VerifiedDevice]:
        """The verified devices of a contact; raises ServerError, IdentityChanged, VerificationError."""

    async def ice_servers(self) -> Sequence[IceServer]:
        """STUN and TURN servers with credentials for one call; empty when there are none."""

    def begin_handshake(self, device: VerifiedDevice, call: bytes, *, video: bool) -> CallerHandshake:
        """Begin the caller's half of a handshake."""


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
        self.dropped = 0
        """What came from the peer and was not fit to be taken."""
        self._around = around
        self._peers: dict[Device, PeerDevice] = {}
        self._partner: PeerDevice | None = None
        self._servers: Sequence[IceServer] = ()
        self._servers_good_until = 0.0
        self._asking: asyncio.Task[Sequence[IceServer]] | None = None
        self._hidden_legs: set[Leg] = set()
        """Legs that show no address of ours, because we answered them before the call was answered."""
        self._media_leg: Leg | None = None
        self._peer_muted: dict[StreamKind, bool] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._preparations: set[asyncio.Task[Any]] = set()
        """Those of the tasks that are of no use once the call has ended."""
        self._ticker: asyncio.TimerHandle | None = None
        self._finishing: asyncio.Task[None] | None = None
        call.attach(self)

    def __repr__(self) -> str:
        return f"<Conversation {self.role.value}, {len(self._peers)} devices>"

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
        """Switch one of our streams off or on, and tell the peer."""
        self.media.mute(kind, muted)
        if self._partner is not None:
            self._say_muted(self._partner)

    def stats(self) -> CallStats:
        """Figures up to now."""
        return self.media.stats()

    # --- what the node does with it ---

    def add_peer(self, device: Device, handshake: CallerHandshake | CalleeHandshake) -> None:
        """Take a device of the other end into the call, with our half of the handshake with it."""
        self._peers[device] = PeerDevice(device, handshake, self._connect)

    def take_over(self, other: Conversation) -> None:
        """Go on with the handle and the media choices of a call of ours that crossed this one."""
        self.call, other.call = other.call, self.call
        self.call.id, other.call.id = other.call.id, self.call.id
        self.media.choose_like(other.media)
        self.call.attach(self)
        other.call.attach(other)

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
            self._broke(error)

    def _carry_out(self, output: outputs.Output) -> None:
        match output:
            case outputs.FetchKeys():
                self._prepare(self._fetch_keys(output.address))
            case outputs.SendRing():
                self._ring(output.devices)
            case outputs.SendRinging():
                self._prepare(self._send_ringing(output))
            case outputs.SendAccept():
                self._prepare(self._send_accept(output))
            case outputs.SendEnd():
                self._send_end(output)
            case outputs.SendPlease():
                please = PleaseRestart(output.leg.generation, output.stalled)
                self._say(self._peers[output.leg.device], please, output.kind)
            case outputs.AnswerLeg():
                self._prepare(self._answer_leg(output.leg))
            case outputs.StartLeg():
                self._prepare(self._start_leg(output.leg))
            case outputs.CloseLeg():
                connection = self._peers[output.leg.device].take_leg(output.leg.generation)
                if connection is not None:
                    self._spawn(connection.close())
            case outputs.OpenMedia():
                self._prepare(self._open_media())
            case outputs.OpenGate() | outputs.MoveMedia():
                self._use_leg(output)
            case outputs.CloseMedia():
                self._spawn(self._close_media())
            case outputs.StateChanged():
                self._state_changed(output)
            case outputs.CarryOver():
                raise LocalProtocolError("The node carries calls over, since two conversations take part.")
            case _:
                assert_never(output)

    async def _fetch_keys(self, address: str) -> None:
        """Find out whom to ring; the handshakes are made here, so that ringing is only sending."""
        try:
            devices = await self._around.fetch_devices(Address.parse(address))
            for device in devices:
                handshake = self._around.begin_handshake(device, self.id, video=self.call.has_video)
                self.add_peer(Device(address, device.certificate.device_id), handshake)
        except RequestRefused as error:
            if error.code == ErrorCode.UNKNOWN_USER:
                self._around.report(inputs.KeysFailed(self.id, EndReason.UNKNOWN_USER))
            else:
                self._around.report(inputs.KeysFailed(self.id, EndReason.FAILED, str(error)))
        except EntrenousError as error:
            self._around.report(inputs.KeysFailed(self.id, EndReason.FAILED, str(error)))
        else:
            self.call.mark("keys")
            self._around.report(inputs.KeysReady(self.id, tuple(self._peers)))

    def _ring(self, devices: Sequence[Device]) -> None:
        for device in devices:
            handshake = self._peers[device].handshake
            assert isinstance(handshake, CallerHandshake)  # only a caller is asked to ring
            self._around.send(device, self.id, Kind.RING, handshake.ring)
        self.call.mark("rang")

    async def _send_ringing(self, output: outputs.SendRinging) -> None:
        peer = self._peers[output.device]
        offer: LegOffer | None = None
        match output.early_leg:
            case EarlyLeg.NONE:
                pass
            case EarlyLeg.DIRECT | EarlyLeg.RELAY:
                await self._learn_servers()
                offer = await peer.offer_leg(0, relay_only=output.early_leg is EarlyLeg.RELAY)
            case _:
                assert_never(output.early_leg)
        if not self._over:
            self._transmit(peer, output.kind, peer.answer_ring(offer))
            self._say_candidates(peer, 0)

    async def _send_accept(self, output: outputs.SendAccept) -> None:
        peer = self._peers[output.device]
        offer: LegOffer | None = None
        if output.offer_leg:
            await self._learn_servers()
            offer = await peer.offer_leg(0, relay_only=False)
        if not self._over:
            self._say(peer, Accept(offer), output.kind)
            self._say_candidates(peer, 0)

    def _send_end(self, output: outputs.SendEnd) -> None:
        accepted = None if output.accepted_device is None else output.accepted_device.id
        message = End(output.reason.value, accepted, output.stage.value)
        for device in output.devices:
            # A device that has refused or was given up has no keys any more, and needs no word.
            with suppress(LocalProtocolError):
                self._say(self._peers[device], message, output.kind)

    # --- legs ---

    async def _learn_servers(self) -> None:
        """Ask for relays, and again when their credentials grow old; the old ones stay when nobody answers."""
        if self._servers and time.monotonic() < self._servers_good_until:
            return
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._around.ice_servers())
            self._track(self._asking, self._preparations)
        asking = self._asking
        await asyncio.wait({asking}, timeout=RELAY_PATIENCE)
        if asking.done() and asking is self._asking:
            self._asking = None
            self._servers = asking.result() or self._servers
            self._servers_good_until = time.monotonic() + RELAY_SECONDS

    def _connect(self, device: Device, generation: int, relay_only: bool) -> Connection:
        """Make the connection of a leg; the caller of the call decides on its ICE pair."""
        leg = Leg(device, generation)
        return self._around.engine.leg(
            generation,
            self.media.streams,
            controlling=self.role is Role.CALLER,
            relay_only=relay_only or self._around.relay_only,
            ice_servers=self._servers,
            on_event=lambda event: self._leg_event(leg, event),
        )

    async def _answer_leg(self, leg: Leg) -> None:
        peer = self._peers[leg.device]
        await self._learn_servers()
        hidden = self._around.relay_until_accept and not is_answered(self.call.state)
        try:
            answer = await peer.answer_leg(leg.generation, relay_only=hidden)
        except RemoteProtocolError as error:
            self._leg_failed(leg, error)
            return
        if answer is not None:
            if hidden:
                self._hidden_legs.add(leg)
            self._say(peer, answer, Kind.SIGNAL)
            self._say_candidates(peer, leg.generation)

    async def _start_leg(self, leg: Leg) -> None:
        peer = self._peers[leg.device]
        await self._learn_servers()
        offer = await peer.offer_leg(leg.generation, relay_only=False)
        if offer is not None:
            self._say(peer, offer, Kind.SIGNAL)
            self._say_candidates(peer, leg.generation)

    async def _take_answer(self, peer: PeerDevice, answer: LegAnswer) -> None:
        try:
            await peer.take_answer(answer)
        except (RemoteProtocolError, LocalProtocolError) as error:
            self._leg_failed(Leg(peer.device, answer.generation), error)

    def _leg_event(self, leg: Leg, event: media.LegEvent) -> None:
        """Take what a leg tells; nothing of it may break the leg."""
        try:
            self._take_leg_event(leg, event)
        except Exception as error:
            self._broke(error)

    def _take_leg_event(self, leg: Leg, event: media.LegEvent) -> None:
        peer = self._peers[leg.device]
        match event:
            case media.CandidateGathered():
                candidate = peer.gathered(leg.generation, event.line)
                if candidate is not None:
                    self._say(peer, candidate, Kind.SIGNAL)
            case media.PathFound():
                self._around.report(inputs.PathFound(self.id, leg))
            case media.Secured():
                self.call.mark("secured")
                self._around.report(inputs.Secured(self.id, leg))
            case media.DataOpen():
                peer.data_open(leg.generation)
            case media.Data():
                self.receive(leg.device, event.message, by_leg=True)
            case media.LegFailed():
                self._around.report(inputs.LegFailed(self.id, leg, Stage(event.stage.value)))
            case media.LegClosed():
                self._around.report(inputs.LegClosed(self.id, leg))
            case _:
                assert_never(event)

    def _leg_failed(self, leg: Leg, error: EntrenousError) -> None:
        """A description of the peer that no leg can be made of."""
        self.dropped += 1
        log.info("a leg failed: %s", type(error).__name__)
        self._around.report(inputs.LegFailed(self.id, leg, Stage.PATH))

    # --- media ---

    async def _open_media(self) -> None:
        """Open source and sink; the keys must stand, so at the callee the caller's nonce must have come."""
        peer = self._partner if self.role is Role.CALLER else next(iter(self._peers.values()))
        assert peer is not None  # the caller's machine opens media when a device has accepted
        self._partner = peer
        try:
            async with asyncio.timeout(REVEAL_SECONDS):
                await peer.words_known.wait()
        except TimeoutError:
            sentence = "The caller did not complete the key exchange."
            self._around.report(inputs.LocalFailure(self.id, Stage.HANDSHAKE, sentence))
            return
        self._show_words(peer)
        self._spawn(self._open_streams(peer))  # a camera that is being opened has to be closed properly

    async def _open_streams(self, peer: PeerDevice) -> None:
        await self.media.open(peer.handshake.secrets)
        self._around.report(inputs.MediaOpened(self.id))

    def _use_leg(self, output: outputs.OpenGate | outputs.MoveMedia) -> None:
        connection = self._peers[output.leg.device].connection(output.leg.generation)
        if connection is None:
            return
        self._media_leg = output.leg
        path = None if connection.path is None else connection.path.kind.value
        changed, self.call.path = path not in (None, self.call.path), path
        if isinstance(output, outputs.OpenGate):
            self._spawn(self.media.open_gate(connection))
            if any(self.media.muted.values()):
                self._say_muted(self._peers[output.leg.device])
            if output.leg in self._hidden_legs:
                self._around.report(inputs.BetterPath(self.id))
            return
        try:
            self.media.move(connection)
        except RemoteProtocolError as error:
            self._leg_failed(output.leg, error)
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
        if self._media_leg is not None:
            self._around.report(inputs.Stalled(self.id, self._media_leg))

    def media_flows(self) -> None:
        """Something arrives again."""
        if self._media_leg is not None:
            self._around.report(inputs.Flowed(self.id, self._media_leg))

    def first_media(self, kind: StreamKind, at: float) -> None:
        """The first sound or picture was handed to the sink."""
        self.call.mark(f"first_{kind.value}", at)
        self.call.announce(FirstMedia(kind, at))

    def sending_ended(self, kind: StreamKind) -> None:
        """The source has no more of this kind."""
        self.call.announce(SendingEnded(kind))

    def media_problem(self, sentence: str) -> None:
        """A source or sink broke; the call goes on."""
        self.call.announce(MediaProblem(sentence))

    # --- what arrives ---

    def receive(self, device: Device, body: bytes, *, by_leg: bool = False) -> None:
        """Take a sealed body of a device of this call, from the server or a data channel."""
        peer = self._peers.get(device)
        if peer is None or self._over:
            self.dropped += 1
            return
        try:
            self._take(peer, peer.receive(body))
        except Replayed:
            return  # it took two ways, as it was sent
        except RemoteProtocolError as error:
            self.dropped += 1
            log.info("a message was refused: %s", type(error).__name__)
            # Whoever runs the server can make up messages: they must not be able to end a call that needs it no more.
            peer.failures += by_leg or not is_answered(self.call.state)
            if peer.failures == MAX_FAILURES:
                sentence = "What arrives does not verify: somebody interferes with this call."
                self._around.report(inputs.LocalFailure(self.id, Stage.HANDSHAKE, sentence))
        except Exception as error:
            self._broke(error)

    def _take(self, peer: PeerDevice, message: Ringing | Refused | InnerMessage) -> None:
        report, call = self._around.report, self.id
        match message:
            case Ringing():
                self._take_ringing(peer, message)
            case Refused():
                report(inputs.EndReceived(call, peer.device, _reason(message.reason)))
            case Reveal():
                peer.words_known.set()
            case Accept():
                self._note_offer(peer, message.offer)
                if self._partner is None:
                    self._partner = peer
                report(inputs.AcceptReceived(call, peer.device, message.offer is not None))
            case End():
                taken_by = None if message.device is None else Device(self._around.me.address, message.device)
                stage = None if message.stage is None else _stage(message.stage)
                report(inputs.EndReceived(call, peer.device, _reason(message.reason), taken_by, stage))
            case LegOffer():
                self._note_offer(peer, message)
                report(inputs.LegOffered(call, Leg(peer.device, message.generation)))
            case LegAnswer():
                self._spawn(self._take_answer(peer, message))
            case Candidate():
                peer.take_candidate(message)
            case PleaseRestart():
                report(inputs.PleaseReceived(call, Leg(peer.device, message.generation), message.stalled))
            case MediaState():
                if peer is self._partner:  # another device of theirs, that rings too, has no part in this
                    self._take_media_state(message)
            case RekeyOffer() | RekeyAnswer() | RekeyDone():
                self._continue_rekey(peer, message)
            case _:
                assert_never(message)

    def _take_ringing(self, peer: PeerDevice, ringing: Ringing) -> None:
        """The keys stand at the caller: open the commitment, so that they stand at the callee too."""
        self.call.mark("alerting")
        peer.words_known.set()
        self._transmit(peer, Kind.SIGNAL, peer.handshake.secrets.reveal(None))
        self._note_offer(peer, ringing.leg_offer)
        self._around.report(inputs.RingingReceived(self.id, peer.device, ringing.leg_offer is not None))

    @staticmethod
    def _note_offer(peer: PeerDevice, offer: LegOffer | None) -> None:
        if offer is not None:
            peer.note_offer(offer)

    def _show_words(self, peer: PeerDevice) -> None:
        words = peer.handshake.secrets.words
        if words is not None and self.call.words is None:
            self.call.words = words
            self.call.announce(WordsKnown(words, self.call.verified))

    def _take_media_state(self, state: MediaState) -> None:
        for kind, muted in ((StreamKind.AUDIO, state.audio_muted), (StreamKind.VIDEO, state.video_muted)):
            if self._peer_muted.get(kind, False) is not muted:
                self._peer_muted[kind] = muted
                self.call.announce(PeerMuted(kind, muted))

    # --- what is said ---

    def _say(self, peer: PeerDevice, message: InnerMessage, kind: Kind) -> None:
        # The other end may ask for a new leg because it hears nothing on this one, while all seems well from here.
        about_legs = isinstance(message, LegOffer | LegAnswer | Candidate | PleaseRestart)
        self._transmit(peer, kind, peer.seal(message), also_by_server=about_legs)

    def _say_muted(self, peer: PeerDevice) -> None:
        now = self.media.muted
        self._say(peer, MediaState(now[StreamKind.AUDIO], now[StreamKind.VIDEO], held=False), Kind.SIGNAL)

    def _say_candidates(self, peer: PeerDevice, generation: int) -> None:
        """Our description is said: now its later candidates make sense to the peer."""
        for candidate in peer.described(generation):
            self._say(peer, candidate, Kind.SIGNAL)

    def _transmit(self, peer: PeerDevice, kind: Kind, body: bytes, *, also_by_server: bool = False) -> None:
        """Send by the leg while it works, by the server otherwise, and by both what the server must count.

        While a leg is doubted, by either end, both are used too: the replay window takes each message once.
        """
        by_leg = peer.send_data(body)
        if not by_leg or also_by_server or kind is not Kind.SIGNAL or self.call.state is not CallState.ACTIVE:
            self._around.send(peer.device, self.id, kind, body)

    # --- keys of a live call ---

    def _tick(self) -> None:
        """About once a second: renew keys, forget old ones."""
        self._ticker = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)
        peer = self._partner
        if peer is None:
            return
        secrets, now = peer.handshake.secrets, time.monotonic()
        before = secrets.epoch
        secrets.tick(now)
        if self.role is Role.CALLER:
            offer = secrets.begin_rekey(now)
            if offer is not None:
                self._transmit(peer, Kind.SIGNAL, offer)
        self._announce_epoch(before, secrets.epoch)

    def _continue_rekey(self, peer: PeerDevice, message: RekeyOffer | RekeyAnswer | RekeyDone) -> None:
        secrets = peer.handshake.secrets
        before = secrets.epoch
        reply = secrets.continue_rekey(message, time.monotonic())
        if reply is not None:
            self._transmit(peer, Kind.SIGNAL, reply)
        self._announce_epoch(before, secrets.epoch)

    def _announce_epoch(self, before: int, after: int) -> None:
        if after > before:
            self.call.announce(Rekeyed(after))

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
        if self._ticker is None:
            self._tick()

    @property
    def _over(self) -> bool:
        return self.call.state is CallState.ENDED

    async def _finish(self, change: outputs.StateChanged) -> None:
        """Give everything back, drop the keys, then tell the owner."""
        if self._ticker is not None:
            self._ticker.cancel()
        for task in self._preparations:
            task.cancel()
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=CLEANUP_SECONDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        for peer in self._peers.values():
            peer.forget()
        assert change.reason is not None  # an ended call has one
        times = self.call.timings
        seconds = times["ended"] - times["accepted"] if "active" in times else None
        self.call.finish(CallOutcome(change.reason, change.stage, change.sentence, seconds), self.media.stats())

    # --- tasks ---

    def _spawn(self, step: Coroutine[Any, Any, None]) -> None:
        self._track(asyncio.ensure_future(self._guard(step)))

    def _prepare(self, step: Coroutine[Any, Any, None]) -> None:
        """Spawn a step that the end of the call cuts short: it may wait for a server or a peer that is away."""
        self._track(asyncio.ensure_future(self._guard(step)), self._preparations)

    def _track(self, task: asyncio.Task[Any], *also: set[asyncio.Task[Any]]) -> None:
        for tasks in (self._tasks, *also):
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _guard(self, step: Coroutine[Any, Any, None]) -> None:
        """A step that breaks ends the call with a reason: never silently, and never the node with it."""
        try:
            await step
        except Exception as error:
            self._broke(error)

    def _broke(self, error: Exception) -> None:
        if isinstance(error, EntrenousError):
            self._fail(str(error))
            return
        # The type only: a message or a local variable might hold what no log may have.
        log.error("a step of a call broke: %s", type(error).__name__)
        log.debug("where it broke", exc_info=error)
        self._fail("An internal error ended the call; ENTRENOUS_DEBUG=1 shows where.")

    def _fail(self, sentence: str) -> None:
        if not self._over:
            self._around.report(inputs.LocalFailure(self.id, Stage.MEDIA, sentence))


def _reason(text: str) -> EndReason:
    try:
        return EndReason(text)
    except ValueError:
        raise RemoteProtocolError("An end names an unknown reason.") from None


def _stage(text: str) -> Stage:
    try:
        return Stage(text)
    except ValueError:
        raise RemoteProtocolError("An end names an unknown stage.") from None
