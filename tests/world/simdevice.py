"""A device of the simulation: its session, desk and calls are real, its user acts at random."""

from __future__ import annotations

import random
from dataclasses import dataclass

from entrenous.protocol.credentials import Credentials
from entrenous.protocol.deadlines import Timeouts
from entrenous.protocol.desk import Desk
from entrenous.protocol.inputs import (
    Accepted,
    AcceptReceived,
    BetterPath,
    Declined,
    Device,
    DeviceOffline,
    EarlyLeg,
    EndReceived,
    HungUp,
    Input,
    KeysFailed,
    KeysReady,
    Leg,
    LegOffered,
    MediaOpened,
    PleaseReceived,
    Rang,
    RingingReceived,
    SignalingLost,
    SignalingRestored,
)
from entrenous.protocol.outputs import (
    AnswerLeg,
    CarryOver,
    CloseLeg,
    CloseMedia,
    FetchKeys,
    MoveMedia,
    OpenGate,
    OpenMedia,
    Output,
    SendAccept,
    SendEnd,
    SendOutput,
    SendPlease,
    SendRing,
    SendRinging,
    StartLeg,
    StateChanged,
)
from entrenous.protocol.session import Session
from entrenous.protocol.session_outputs import (
    Arrived,
    CloseTransport,
    GaveUp,
    OpenTransport,
    RequestAnswered,
    RequestFailed,
    SendDelivered,
    SendFailed,
    SessionLost,
    SessionOutput,
    SessionUp,
    Transmit,
)
from entrenous.protocol.states import CallState, EndReason, is_answered
from entrenous_wire.certificate import DeviceCertificate
from entrenous_wire.codec import decode_from_server, encode
from entrenous_wire.messages import Accepted as AcceptedByServer
from entrenous_wire.messages import Deliver, Devices, ErrorCode, Kind, Send

from .clock import Appointment, Clock
from .habits import Habits
from .links import Link, LinkEnd, Weather
from .simlegs import SimLegs
from .simserver import SERVER, SimServer
from .simwitness import LegAnswered, Said, Witness
from .wirenode import Account

BODY = bytes(1024)


@dataclass(frozen=True)
class Surroundings:
    """What all devices of a run share."""

    clock: Clock
    draw: random.Random
    """The randomness of the run."""
    timeouts: Timeouts
    habits: Habits
    weather: Weather
    """Of all links to the server."""
    server: SimServer
    legs: SimLegs
    witness: Witness


class SimDevice:
    """One device: a real session and a real desk, driven by a user who acts at random.

    Args:
        world: what is around it.
        account: whose it is, and its keys.
    """

    def __init__(self, world: Surroundings, account: Account) -> None:
        self.world = world
        self.account = account
        self.me = Device(account.address, account.device)
        self.incarnation = 0
        self.begin()

    def begin(self) -> None:
        """A process starts without any memory."""
        self.desk = Desk(self.me, self.world.timeouts)
        self.session = Session(
            Credentials(
                SERVER,
                self.me.address,
                self.me.id,
                self.account.certificate,
                lambda message: self.account.device_key.sign(message).signature,
                self.account.register if self.incarnation == 0 else None,
            ),
            draw=self.world.draw.random,
            timeouts=self.world.timeouts,
        )
        self.incarnation += 1
        self.link: Link | None = None
        self.legs: set[tuple[bytes, Leg]] = set()
        self.media: set[bytes] = set()
        self.unsettled: dict[bytes, Send] = {}
        self.fetching: dict[int, bytes] = {}
        self.offered: dict[bytes, Leg] = {}
        self.known: set[bytes] = set()
        self.ended: dict[bytes, StateChanged] = {}
        self._timer: Appointment | None = None
        self.session.start(self.now)
        self._work()

    @property
    def now(self) -> float:
        return self.world.clock.now

    def crash(self) -> None:
        """The process dies and starts again a moment later."""
        if self.link is not None:
            self.link.close_from(self.link.node)
        for call, leg in self.legs:
            self.world.legs.vanish(self.me, call, leg)
        for call in self.known - set(self.ended):
            self.world.witness.note_ended(call, self.now)
        if self._timer is not None:
            self._timer.cancel()
        self.begin()

    def leave(self) -> None:
        """The user goes offline on purpose."""
        self.session.stop()
        self._work()

    # --- desk ---

    def hear(self, fact: Input) -> None:
        """Something happened to this device's calls."""
        self.desk, outputs = self.desk.handle(fact, self.now)
        for output in outputs:
            self._carry_out(output)
        self._work()

    def _later(self, seconds: float, fact: Input) -> None:
        incarnation = self.incarnation
        self.world.clock.after(seconds, lambda: self.hear(fact) if incarnation == self.incarnation else None)

    def _act(
        self, seconds: float, fact: Accepted | Declined | HungUp | BetterPath, *, unanswered: bool = False
    ) -> None:
        """The user does something later, if the call is still there (and, with `unanswered`, still rings)."""

        def act() -> None:
            live = self.desk.live
            if live is not None and live.id == fact.call and not (unanswered and is_answered(live.state)):
                self.hear(fact)

        self.world.clock.after(seconds, act)

    def _carry_out(self, output: Output) -> None:
        world = self.world
        match output:
            case FetchKeys(call, address):
                self.fetching[self.session.fetch_devices(address, self.now)] = call
            case SendRing() | SendRinging() | SendAccept() | SendEnd() | SendPlease():
                self._send(output)
            case StartLeg(call, leg):
                self.legs.add((call, leg))
                self._post(call, leg.device, Kind.SIGNAL, LegOffered(call, Leg(self.me, leg.generation)))
            case AnswerLeg(call, leg):
                self.legs.add((call, leg))
                self._post(call, leg.device, Kind.SIGNAL, LegAnswered(call, Leg(self.me, leg.generation)))
            case CloseLeg(call, leg):
                self.legs.remove((call, leg))
                world.legs.vanish(self.me, call, leg)
            case OpenMedia(call):
                self.media.add(call)
                self._later(world.draw.uniform(0.0, 0.3), MediaOpened(call))
            case CloseMedia(call):
                self.media.remove(call)
            case OpenGate(call, leg) | MoveMedia(call, leg):
                assert (call, leg) in self.legs
                world.legs.carry_media(self, call, leg)
            case CarryOver(call, to):
                world.witness.carried_over[call] = to
            case StateChanged():
                self._changed(output)

    def _send(self, output: SendOutput) -> None:
        call, me = output.call, self.me
        match output:
            case SendRing(_, devices):
                for device in devices:
                    self._post(call, device, output.kind, Rang(call, me, 0.0, EarlyLeg.DIRECT))
            case SendRinging(_, device, early_leg):
                if early_leg is not EarlyLeg.NONE:
                    self.legs.add((call, Leg(device, 0)))
                self._post(call, device, output.kind, RingingReceived(call, me, early_leg is not EarlyLeg.NONE))
            case SendAccept(_, device, offer_leg):
                if offer_leg:
                    self.legs.add((call, Leg(device, 0)))
                self.world.witness.note_accepted(call, self.now)
                self._post(call, device, output.kind, AcceptReceived(call, me, offer_leg))
            case SendEnd(_, devices, reason, accepted, stage, cause):
                for device in devices:
                    fact = EndReceived(call, me, reason, accepted, stage, cause)
                    self._post(call, device, output.kind, fact)
                    self.world.legs.carry_end(self, call, device, fact)
            case SendPlease(_, leg, stalled):
                fact_please = PleaseReceived(call, Leg(me, leg.generation), stalled)
                self._post(call, leg.device, output.kind, fact_please)

    def _post(self, call: bytes, to: Device, kind: Kind, fact: Said) -> None:
        message = Send(id=self.world.draw.randbytes(16), to=to.address, device=to.id, call=call, kind=kind, body=BODY)
        self.world.witness.note_sent(self.me, self.incarnation, message, fact)
        self.unsettled[message.id] = message
        self.session.send(message, self.now)

    def _changed(self, change: StateChanged) -> None:
        draw, habits = self.world.draw, self.world.habits
        call = change.call
        self.known.add(call)
        self.world.witness.seen_states[change.new] += 1
        if change.new is CallState.ENDED:
            assert call not in self.ended, "a call ends once"
            assert change.reason is not None
            assert change.sentence
            self.ended[call] = change
            self.world.witness.reasons[change.reason] += 1
            if is_answered(change.old):  # who only heard it ring may hear of its end long after
                self.world.witness.note_ended(call, self.now)
            self.session.call_finished(call)
        elif change.new is CallState.RINGING:
            choice = draw.random()
            if choice < habits.accept:
                self._act(draw.expovariate(1 / habits.pick_up), Accepted(call))
            elif choice < habits.accept + habits.decline:
                self._act(draw.expovariate(1 / habits.pick_up), Declined(call))
        elif change.new is CallState.INVITING:
            self._act(draw.uniform(1.0, 2 * habits.patience), HungUp(call), unanswered=True)
        elif change.new is CallState.ACTIVE and change.old is not CallState.RECONNECTING:
            self._act(draw.expovariate(1 / habits.talk), HungUp(call))
            if draw.random() < habits.improves:
                self._act(draw.expovariate(1 / 5.0), BetterPath(call))

    # --- session ---

    def _work(self) -> None:
        """Carry out what the session wants, then arm the timer for both machines."""
        outputs = self.session.drain()
        while outputs:
            for output in outputs:
                self._carry_out_for_session(output)
            outputs = self.session.drain()
        if self._timer is not None:
            self._timer.cancel()
        due = [at for at in (self.session.next_deadline(), self.desk.next_deadline()) if at is not None]
        self._timer = self.world.clock.at(min(due), self._tick) if due else None

    def _tick(self) -> None:
        self.session.handle_timeout(self.now)
        self.desk, outputs = self.desk.handle_timeout(self.now)
        for output in outputs:
            self._carry_out(output)
        self._work()

    def _carry_out_for_session(self, output: SessionOutput) -> None:
        match output:
            case OpenTransport():
                self._connect()
            case CloseTransport():
                if self.link is not None:
                    self.link.close_from(self.link.node)
            case Transmit(message):
                assert self.link is not None
                self.link.say_to(self.link.server, encode(message))
            case Arrived(message):
                self._arrived(message)
            case SendDelivered(message_id):
                self.world.witness.check_delivered(message_id)
                del self.unsettled[message_id]
            case SendFailed(message_id, code):
                outlasted = code is ErrorCode.UNAVAILABLE and self.world.habits.outlasts_patience
                assert code is ErrorCode.OFFLINE or outlasted, f"given up with {code.value}"
                message = self.unsettled.pop(message_id)
                self.hear(DeviceOffline(message.call, Device(message.to, message.device)))
            case RequestAnswered(number, answer):
                assert isinstance(answer, Devices)
                certificates = [DeviceCertificate.parse(entry.certificate) for entry in answer.devices]
                devices = tuple(Device(answer.address, certificate.device_id) for certificate in certificates)
                self.hear(KeysReady(self.fetching.pop(number), devices))
            case RequestFailed(number, _, sentence):
                self.hear(KeysFailed(self.fetching.pop(number), EndReason.FAILED, sentence))
            case SessionUp():
                self.hear(SignalingRestored())
            case SessionLost():
                self.hear(SignalingLost())
            case GaveUp(_, sentence):
                raise AssertionError(sentence)

    def _connect(self) -> None:
        world, incarnation = self.world, self.incarnation
        server_end = world.server.end_of()
        link = Link(
            world.clock,
            world.draw,
            world.weather,
            LinkEnd(lambda frame: self._hear_server(link, frame), lambda: self._lost(link)),
            server_end,
        )
        self.link = link

        def arrive() -> None:
            if self.link is not link or incarnation != self.incarnation or not link.node.open:
                return
            if world.server.up:
                self.session.transport_opened(self.now)
                world.server.accept(link)
            else:
                self.session.transport_lost("The server refused the connection.", self.now)
            self._work()

        world.clock.after(world.draw.uniform(0.03, 0.3), arrive)

    def _hear_server(self, link: Link, frame: str) -> None:
        if link is self.link:
            message = decode_from_server(frame)
            if isinstance(message, AcceptedByServer | Deliver) and message.record is not None:
                self.world.witness.note_record(message, self.ended)
            self.session.receive(message, self.now)
            self._work()

    def _lost(self, link: Link) -> None:
        if link is self.link:
            self.session.transport_lost("The connection was lost.", self.now)
            self._work()

    def _arrived(self, message: Deliver) -> None:
        fact = self.world.witness.note_arrived(self.me, self.incarnation, message)
        if isinstance(fact, LegAnswered):
            self.world.legs.establish(self, fact.call, fact.leg)
        elif isinstance(fact, Rang) or message.call in self.known:
            self.hear(fact)
