"""Many calls between a few users over bad links, in simulated time, with everything real that is pure.

Real are the session, the desk and the call machines of every device, and the server's hub. Simulated are time,
links, the store, legs (they come up, fail and stall at random) and the users (they dial, accept, decline, wait and
hang up at random). Bodies are padding: what they would say, and whether it opens, the simulation keeps by message id.
One seed makes one run.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
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
    Dialled,
    EarlyLeg,
    EndReceived,
    Flowed,
    HungUp,
    Input,
    KeysFailed,
    KeysReady,
    Leg,
    LegClosed,
    LegFailed,
    LegOffered,
    MediaOpened,
    PathFound,
    PleaseReceived,
    Rang,
    RingingReceived,
    Secured,
    SignalingLost,
    SignalingRestored,
    Stalled,
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
from entrenous.protocol.session import Phase, Session
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
from entrenous.protocol.states import CallState, EndReason, Stage, is_answered
from entrenous_wire.certificate import DeviceCertificate
from entrenous_wire.codec import decode_from_server, encode
from entrenous_wire.messages import Accepted as AcceptedByServer
from entrenous_wire.messages import Deliver, Devices, ErrorCode, Kind, Send

from .clock import Appointment, Clock
from .links import Link, LinkEnd, Weather
from .simserver import SERVER, TOKENS, SimServer
from .wirenode import Account

START = 1_000_000.0
BODY = bytes(1024)


@dataclass(frozen=True)
class LegAnswered:
    """The answer to a leg offer arrived: both ends can begin."""

    call: bytes
    leg: Leg


Said = Input | LegAnswered


@dataclass(frozen=True)
class Habits:
    """How users behave, and how often what breaks; times in seconds, shares from 0 to 1."""

    idle: float = 60.0
    pick_up: float = 4.0
    talk: float = 30.0
    accept: float = 0.7
    decline: float = 0.15
    patience: float = 40.0
    leg_fails: float = 0.08
    stalls: float = 0.15
    flows_again: float = 0.4
    improves: float = 0.1
    cut_every: float = 240.0
    kill_every: float = 900.0
    down: float = 8.0
    crash_every: float = 0.0
    outlasts_patience: bool = False
    """Whether a device may be away for longer than a message is held, as kills renew the server's patience with it."""


class SimDevice:
    """One device: a real session and a real desk, driven by a user who acts at random."""

    def __init__(self, world: Simulation, account: Account) -> None:
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
            self.world.leg_vanished(self.me, call, leg)
        for call in self.known - set(self.ended):
            self.world.ended_at.setdefault(call, []).append(self.now)
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
                world.leg_vanished(self.me, call, leg)
            case OpenMedia(call):
                self.media.add(call)
                self._later(world.draw.uniform(0.0, 0.3), MediaOpened(call))
            case CloseMedia(call):
                self.media.remove(call)
            case OpenGate(call, leg) | MoveMedia(call, leg):
                assert (call, leg) in self.legs
                world.media_on(self, call, leg)
            case CarryOver(call, to):
                world.carried_over[call] = to
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
                self.world.accepted_at.setdefault(call, self.now)
                self._post(call, device, output.kind, AcceptReceived(call, me, offer_leg))
            case SendEnd(_, devices, reason, accepted, stage, cause):
                for device in devices:
                    fact = EndReceived(call, me, reason, accepted, stage, cause)
                    self._post(call, device, output.kind, fact)
                    self.world.tell_by_data_channel(self, call, device, fact)
            case SendPlease(_, leg, stalled):
                fact_please = PleaseReceived(call, Leg(me, leg.generation), stalled)
                self._post(call, leg.device, output.kind, fact_please)

    def _post(self, call: bytes, to: Device, kind: Kind, fact: Said) -> None:
        message_id = self.world.draw.randbytes(16)
        message = Send(id=message_id, to=to.address, device=to.id, call=call, kind=kind, body=BODY)
        self.world.note_sent(self, to, message.id, fact)
        self.unsettled[message.id] = message
        self.session.send(message, self.now)

    def _changed(self, change: StateChanged) -> None:
        draw, habits = self.world.draw, self.world.habits
        call = change.call
        self.known.add(call)
        self.world.seen_states[change.new] += 1
        if change.new is CallState.ENDED:
            assert call not in self.ended, "a call ends once"
            assert change.reason is not None
            assert change.sentence
            self.ended[call] = change
            self.world.reasons[change.reason] += 1
            if is_answered(change.old):  # who only heard it ring may hear of its end long after
                self.world.ended_at.setdefault(call, []).append(self.now)
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
                self.world.check_delivered(message_id)
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
                call = message.call if isinstance(message, Deliver) else self.world.call_of[message.id]
                token = TOKENS.of_row(call)
                assert TOKENS.tell_who_called(message.record, call) is isinstance(message, Deliver)
                self.world.tokens.setdefault(call, set()).add(token)
                goes_on = call not in self.ended and token not in self.world.server.discarded
                if isinstance(message, Deliver) and goes_on:
                    self.world.heard.add(token)
            self.session.receive(message, self.now)
            self._work()

    def _lost(self, link: Link) -> None:
        if link is self.link:
            self.session.transport_lost("The connection was lost.", self.now)
            self._work()

    def _arrived(self, message: Deliver) -> None:
        fact = self.world.note_arrived(self, message)
        call = fact.call if not isinstance(fact, SignalingLost | SignalingRestored) else b""
        if isinstance(fact, LegAnswered):
            self.world.establish(self, fact.call, fact.leg)
        elif isinstance(fact, Rang) or call in self.known:
            self.hear(fact)


class Simulation:
    """One run.

    Args:
        seed: makes it what it is.
        users: devices of each user.
        habits: behaviour and misfortunes.
        weather: of all links.
        make_server: makes the server, or what looks like one to devices.
    """

    def __init__(
        self,
        seed: int,
        users: tuple[int, ...] = (1, 1, 1, 1, 2, 2),
        habits: Habits | None = None,
        weather: Weather | None = None,
        make_server: Callable[[Clock, random.Random], SimServer] = SimServer,
    ) -> None:
        self.draw = random.Random(seed)
        self.clock = Clock(START)
        self.habits = habits or Habits()
        self.weather = weather or Weather()
        self.timeouts = Timeouts()
        self.server = make_server(self.clock, self.draw)
        self.dials = 0
        self.seen_states: Counter[CallState] = Counter()
        self.reasons: Counter[EndReason] = Counter()
        self.tokens: dict[bytes, set[bytes]] = {}
        self.heard: set[bytes] = set()
        self.call_of: dict[bytes, bytes] = {}
        self.accepted_at: dict[bytes, float] = {}
        self.ended_at: dict[bytes, list[float]] = {}
        self.carried_over: dict[bytes, bytes] = {}
        self._facts: dict[bytes, Said] = {}
        self._order: dict[bytes, tuple[tuple[Device, int, Device], int]] = {}
        self._sent: Counter[tuple[Device, int, Device]] = Counter()
        self._arrived: dict[tuple[tuple[Device, int, Device], int], int] = {}
        self._delivered: set[bytes] = set()
        self.messages = 0
        self._active = True
        self.devices: dict[Device, SimDevice] = {}
        for user, count in enumerate(users):
            for number in range(count):
                device = SimDevice(self, Account(f"user{user}", SERVER, f"{user:08x}{number:08x}"))
                self.devices[device.me] = device
        for device in self.devices.values():
            self._plan_dial(device)
            self._plan_cut(device)
            self.repeat(self.habits.crash_every, device.crash)
        self.repeat(self.habits.kill_every, self._kill)

    def run(self, calls: int) -> None:
        """Dial so many times, then let everything come to rest: nobody dials, nothing breaks any more."""
        while self.dials < calls:
            self.clock.run(self.clock.now + 10.0)
        self._active = False
        self.clock.run(self.clock.now + max(600.0, 10.0 * self.habits.talk))  # who was called last talks to the end

    # --- users and misfortunes ---

    def _plan_dial(self, device: SimDevice) -> None:
        self.clock.after(self.draw.expovariate(1 / self.habits.idle), lambda: self._dial(device))

    def _dial(self, device: SimDevice) -> None:
        if not self._active:
            return
        if device.desk.live is None and device.session.phase is Phase.UP:
            others = sorted({other.address for other in self.devices} - {device.me.address})
            self.dials += 1
            device.hear(Dialled(self.draw.randbytes(16), self.draw.choice(others)))
        self._plan_dial(device)

    def repeat(self, every: float, action: Callable[[], None]) -> None:
        """Do something again and again, about so often, as long as there are misfortunes; never when it is 0."""
        if every:

            def act() -> None:
                if self._active:
                    action()
                    self.repeat(every, action)

            self.clock.after(self.draw.expovariate(1 / every), act)

    def _plan_cut(self, device: SimDevice) -> None:
        self.repeat(self.habits.cut_every, lambda: device.link.cut() if device.link is not None else None)

    def _kill(self) -> None:
        if self.server.up:
            self.server.kill()
            self.clock.after(self.draw.uniform(0.5, 2 * self.habits.down), self.server.start)

    # --- legs ---

    def establish(self, offerer: SimDevice, call: bytes, leg: Leg) -> None:
        """Both ends of a leg know each other: it comes up, or fails, at each end in its own time."""
        ends = ((offerer, leg), (self.devices[leg.device], Leg(offerer.me, leg.generation)))
        fails = self.draw.random() < self.habits.leg_fails
        for device, its_leg in ends:
            first, second = sorted(self.draw.uniform(0.05, 1.0) for _ in range(2))
            if fails:
                self._leg_fact(first * 5, device, call, its_leg, LegFailed(call, its_leg, Stage.PATH))
            else:
                self._leg_fact(first, device, call, its_leg, PathFound(call, its_leg))
                self._leg_fact(second, device, call, its_leg, Secured(call, its_leg))

    def _leg_fact(self, seconds: float, device: SimDevice, call: bytes, leg: Leg, fact: Input) -> None:
        def happen() -> None:
            other = self.devices[leg.device]
            both = (call, leg) in device.legs and (call, Leg(device.me, leg.generation)) in other.legs
            if both or (isinstance(fact, LegFailed) and (call, leg) in device.legs):
                device.hear(fact)

        self.clock.after(seconds, happen)

    def leg_vanished(self, device: Device, call: bytes, leg: Leg) -> None:
        """One end of a leg is closed; the other end learns of it."""
        other, its_leg = self.devices[leg.device], Leg(device, leg.generation)

        def happen() -> None:
            if (call, its_leg) in other.legs:
                other.hear(LegClosed(call, its_leg))

        self.clock.after(self.draw.uniform(0.05, 5.0), happen)

    def media_on(self, device: SimDevice, call: bytes, leg: Leg) -> None:
        """Media uses a leg: it may stall, and may flow again."""
        if self.draw.random() < self.habits.stalls:
            at = self.draw.uniform(1.0, 30.0)
            self._leg_fact(at, device, call, leg, Stalled(call, leg))
            if self.draw.random() < self.habits.flows_again:
                self._leg_fact(at + self.draw.uniform(0.5, 5.0), device, call, leg, Flowed(call, leg))

    def tell_by_data_channel(self, device: SimDevice, call: bytes, to: Device, fact: EndReceived) -> None:
        """An end goes over a secured leg too, when there is one."""
        other = self.devices[to]
        connected = any(c == call and leg.device == to for c, leg in device.legs)
        if connected and self.draw.random() < 0.7:
            incarnation = other.incarnation
            self.clock.after(
                self.draw.uniform(0.02, 0.3), lambda: other.hear(fact) if other.incarnation == incarnation else None
            )

    # --- what is said, and what must hold of it ---

    def note_sent(self, sender: SimDevice, to: Device, message_id: bytes, fact: Said) -> None:
        """A message was handed to a session."""
        pair = (sender.me, sender.incarnation, to)
        self._facts[message_id] = fact
        self._order[message_id] = (pair, self._sent[pair])
        self._sent[pair] += 1
        if not isinstance(fact, SignalingLost | SignalingRestored):
            self.call_of[message_id] = fact.call

    def note_arrived(self, receiver: SimDevice, message: Deliver) -> Said:
        """A message came out of a session: once, in order, and at the right device."""
        pair, number = self._order[message.id]
        key = (pair, receiver.incarnation)
        assert pair[2] == receiver.me
        assert number > self._arrived.get(key, -1), "repeated or out of order"
        self._arrived[key] = number
        self._delivered.add(message.id)
        self.messages += 1
        return self._facts[message.id]

    def check_delivered(self, message_id: bytes) -> None:
        """What the sender was told is delivered has come out at the receiver."""
        assert message_id in self._delivered

    def check_rest(self) -> None:
        """What must hold when everything has come to rest."""
        for device in self.devices.values():
            assert device.desk.live is None, f"half-open: {device.desk.live}"
            assert not device.legs
            assert not device.media
            assert not device.unsettled, "a message was neither delivered nor given up"
            assert device.session.phase is Phase.UP
            assert device.known - set(device.ended) == set()

    def check_records(self) -> None:
        """One record for each answered call whose accept was heard of, with a duration that is about right."""
        assert not self.server.store.open_rows
        assert all(count == 1 for count in self.server.closed.values()), "a record was closed twice"
        known: set[bytes] = set()
        for call, tokens in self.tokens.items():
            closed = [token for token in tokens if token in self.server.closed]
            known |= tokens
            if tokens <= self.server.discarded - self.heard and not closed:
                continue  # it was accepted at one node while the caller had given it up at another
            assert len(closed) == 1, f"{len(closed)} records for one call"
            talked = max(self.ended_at[call]) - self.accepted_at[call]
            duration = self.server.durations[closed[0]]
            assert abs(duration - talked) <= 70.0, f"a record says {duration} s of a call of {talked} s"
        unheard = set(self.server.closed) - known
        assert len(unheard) <= self.server.kills, "records that no node ever heard of, without a killed server"
