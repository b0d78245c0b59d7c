"""Every interleaving of a few calls, with the real desk and call machine.

Explored are all orders of message delivery (first in, first out per pair of devices), user actions, local work and,
where asked for, deadlines, crashes and rings that find nobody. A state is *quiet* when no message is in flight and
no local work is left; then what `interleaving_rules` says must hold.

Seats and messages are numbered as they turn up, so that a state is a few small integers and every step of a machine
is made once however often it is met.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from entrenous.protocol.desk import Desk
from entrenous.protocol.inputs import (
    AcceptReceived,
    DeadlinePassed,
    Device,
    DeviceOffline,
    Dialled,
    EarlyLeg,
    EndReceived,
    KeysReady,
    Leg,
    LegClosed,
    LegFailed,
    LegOffered,
    MediaOpened,
    PleaseReceived,
    Rang,
    RingingReceived,
    Secured,
)
from entrenous.protocol.outputs import (
    AnswerLeg,
    CloseLeg,
    CloseMedia,
    OpenMedia,
    Output,
    SendAccept,
    SendEnd,
    SendPlease,
    SendRing,
    SendRinging,
    StartLeg,
)
from entrenous.protocol.states import CallDeadline, CallState, Stage, is_answered

from .interleaving_actions import Action, Crash, Fact, Pass, Repeat, Seat, Unreachable, acts
from .interleaving_rules import describe, fault

T = TypeVar("T", bound=Hashable)
Mail = tuple[int, Fact]
"""The number of the receiving seat, and what it will hear."""


class _Numbers(Generic[T]):
    """Gives each value a number, and the value of a number back."""

    def __init__(self) -> None:
        self._numbers: dict[T, int] = {}
        self.values: list[T] = []

    def of(self, value: T) -> int:
        number = self._numbers.get(value)
        if number is None:
            number = self._numbers[value] = len(self.values)
            self.values.append(value)
        return number


Numbers = tuple[int, ...]
Channels = tuple[Numbers, ...]
State = tuple[Numbers, Channels, Numbers]
"""Numbers of seats, of the messages from each seat to each, and how often each action is left. Millions of them are
made, so they are plain tuples: those are compared fastest, and the garbage collector lets them alone."""


@dataclass
class Result:
    """What an exploration found."""

    states: int = 0
    complete: bool = True
    outcomes: Counter[tuple[str, ...]] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


class Exploration:
    """One scenario.

    Args:
        devices: the devices; those of one address belong to one user.
        actions: what may happen, and how often.
        early_leg: what callees offer while they ring.
        seats: where each device begins; idle unless given.
        routine: deadlines that count as local work.
        last_resort: deadlines that pass only when nothing else is left to happen.
        make_desk: builds a desk, so that a test can break its rules.
    """

    def __init__(
        self,
        devices: list[Device],
        actions: dict[Action, int],
        *,
        early_leg: EarlyLeg = EarlyLeg.DIRECT,
        seats: list[Seat] | None = None,
        routine: tuple[CallDeadline, ...] = (),
        last_resort: tuple[CallDeadline, ...] = (),
        make_desk: Callable[[Device], Desk] = Desk,
    ) -> None:
        self._devices = devices
        self._index = {device: number for number, device in enumerate(devices)}
        self._times = tuple(actions.values())
        self._actions: list[Action] = [*actions, *map(Pass, last_resort)]
        """First those of the budgets, then the last resort."""
        self._early_leg = early_leg
        self._routine = routine
        self._make_desk = make_desk
        self._start = seats or [Seat(make_desk(device)) for device in devices]
        self._seats: _Numbers[Seat] = _Numbers()
        self._facts: _Numbers[Fact] = _Numbers()
        self._steps: dict[tuple[int, int], tuple[int, tuple[tuple[int, int], ...]]] = {}
        self._work: dict[tuple[Numbers, bool], tuple[tuple[int, int], ...]] = {}
        self._chances: dict[tuple[int, int], int | None] = {}
        self._verdicts: dict[Numbers, tuple[tuple[str, ...], str | None]] = {}

    def run(self, limit: int = 3_000_000) -> Result:
        """Explore everything; stops at `limit` states, and says so."""
        size = len(self._devices)
        start: State = (tuple(map(self._seats.of, self._start)), ((),) * (size * size), self._times)
        came_from: dict[State, tuple[State, tuple[int, int]] | None] = {start: None}
        todo = deque([start])
        result = Result()
        while todo:
            state = todo.popleft()
            busy = False
            for counts, seat, fact, after in self._next(state):
                busy = busy or counts
                if after not in came_from:
                    came_from[after] = (state, (seat, fact))
                    todo.append(after)
            if not busy:
                for seat, fact, after in self._resort(state):
                    busy = True
                    if after not in came_from:
                        came_from[after] = (state, (seat, fact))
                        todo.append(after)
            if not busy:
                outcome, why = self._verdict(state[0])
                result.outcomes[outcome] += 1
                if why is not None:
                    result.violations.append("\n".join([why, *self._trace(came_from, state)]))
            if len(came_from) > limit:
                result.complete = False
                break
        result.states = len(came_from)
        return result

    # --- steps ---

    def _next(self, state: State) -> Iterator[tuple[bool, int, int, State]]:
        """Every next state: whether the step is bound to happen, the seat, the fact, the state."""
        seats, channels, budget = state
        size = len(self._devices)
        in_flight = False
        for channel, mail in enumerate(channels):
            if mail:
                in_flight = True
                yield True, *self._step(seats, channel % size, mail[0], _with(channels, channel, mail[1:]), budget)
        for number, fact in self._local_work(seats, in_flight):
            yield True, *self._step(seats, number, fact, channels, budget)
        for place, left in enumerate(budget):
            if left:
                yield from self._act(place, state, _with(budget, place, left - 1))

    def _resort(self, state: State) -> Iterator[tuple[int, int, State]]:
        seats, channels, budget = state
        for number, seat in enumerate(seats):
            for place in range(len(budget), len(self._actions)):
                fact = self._chance(place, seat)
                if fact is not None:
                    yield self._step(seats, number, fact, channels, budget)

    def _local_work(self, seats: Numbers, in_flight: bool) -> tuple[tuple[int, int], ...]:
        """What each seat has to do by itself: numbers of seats and facts."""
        found = self._work.get((seats, in_flight))
        if found is None:
            there = [self._seats.values[number] for number in seats]
            found = self._work[seats, in_flight] = tuple(
                (number, self._facts.of(fact))
                for number, seat in enumerate(there)
                for fact in self._work_of(seat, there, in_flight)
            )
        return found

    def _work_of(self, seat: Seat, seats: list[Seat], in_flight: bool) -> Iterator[Fact]:
        call = seat.desk.live
        if call is None:
            return
        if call.state is CallState.PREPARING:
            yield KeysReady(call.id, tuple(device for device in self._devices if device.address == call.address))
        if call.state is CallState.ANSWERING:
            yield MediaOpened(call.id)
        for leg in sorted(call.legs):
            other_end = (call.id, Leg(seat.desk.me, leg.generation))
            open_there = other_end in seats[self._index[leg.device]].legs
            if open_there and leg not in call.secured:
                yield Secured(call.id, leg)
            if not open_there and leg in call.secured:
                yield LegClosed(call.id, leg)
            if not open_there and not in_flight and leg not in call.secured and not is_answered(call.state):
                yield LegFailed(call.id, leg, Stage.PATH)
            if not open_there and not in_flight and leg == call.pending_leg and CallDeadline.ATTEMPT in self._routine:
                yield DeadlinePassed(call.id, CallDeadline.ATTEMPT)
        for name in self._routine:
            if name is not CallDeadline.ATTEMPT and call.deadlines.at(name) is not None:
                yield DeadlinePassed(call.id, name)

    def _act(self, place: int, state: State, budget: Numbers) -> Iterator[tuple[bool, int, int, State]]:
        action = self._actions[place]
        if isinstance(action, Unreachable | Repeat):
            yield from self._disturb_rings(action, state, budget)
            return
        seats, channels, _ = state
        for number, seat in enumerate(seats):
            fact = self._chance(place, seat)
            if fact is not None:
                yield False, *self._step(seats, number, fact, channels, budget)

    def _chance(self, place: int, seat: int) -> int | None:
        """The number of what an action does at a seat, if it can happen there."""
        key = (place, seat)
        if key not in self._chances:
            fact = acts(self._actions[place], self._seats.values[seat])
            self._chances[key] = None if fact is None else self._facts.of(fact)
        return self._chances[key]

    def _disturb_rings(
        self, action: Unreachable | Repeat, state: State, budget: Numbers
    ) -> Iterator[tuple[bool, int, int, State]]:
        seats, channels, _ = state
        size = len(self._devices)
        for channel, mail in enumerate(channels):
            ring = self._facts.values[mail[0]] if mail else None
            if not isinstance(ring, Rang):
                continue
            if isinstance(action, Repeat):
                again = _with(channels, channel, (*mail[1:], mail[0]))
                yield False, *self._step(seats, channel % size, mail[0], again, budget)
            else:
                offline = self._facts.of(DeviceOffline(ring.call, self._devices[channel % size]))
                lost = _with(channels, channel, mail[1:])
                yield False, *self._step(seats, channel // size, offline, lost, budget)
                yield False, *self._step(seats, channel // size, offline, channels, budget)

    def _step(
        self, seats: Numbers, number: int, fact: int, channels: Channels, budget: Numbers
    ) -> tuple[int, int, State]:
        key = (seats[number], fact)
        found = self._steps.get(key)
        if found is None:
            after, mail = self._apply(self._seats.values[key[0]], self._facts.values[fact])
            found = (self._seats.of(after), tuple((to, self._facts.of(said)) for to, said in mail))
            self._steps[key] = found
        seat, mail_numbers = found
        if mail_numbers:
            grown = list(channels)
            base = number * len(self._devices)
            for to, said in mail_numbers:
                grown[base + to] = (*grown[base + to], said)
            channels = tuple(grown)
        return number, fact, (_with(seats, number, seat), channels, budget)

    def _apply(self, seat: Seat, fact: Fact) -> tuple[Seat, list[Mail]]:
        """One step of one device, at time 0: the order in which deadlines pass is explored, not their length."""
        desk = seat.desk
        if isinstance(fact, Crash):
            return Seat(self._make_desk(desk.me), lost_memory=True), []
        if isinstance(fact, Dialled):
            seat = replace(seat, lost_memory=False)
        if isinstance(fact, DeadlinePassed) and desk.live is not None:
            desk = replace(desk, live=replace(desk.live, deadlines=desk.live.deadlines.cancel(fact.name)))
        if not isinstance(fact, Rang | Dialled) and not _knows(desk, fact):
            return seat, []  # sealed with keys that this process never had
        desk, outputs = desk.handle(fact, 0.0)  # type: ignore[arg-type]  # facts are kept as plain objects here
        mail: list[Mail] = []
        for output in outputs:
            seat = self._count(seat, output)
            mail += self._post(desk.me, output)
        return replace(seat, desk=desk), mail

    def _count(self, seat: Seat, output: Output) -> Seat:
        match output:
            case SendRinging(call, device, early_leg) if early_leg is not EarlyLeg.NONE:
                return replace(seat, legs=seat.legs | {(call, Leg(device, 0))})
            case SendAccept(call, device, offer_leg) if offer_leg:
                return replace(seat, legs=seat.legs | {(call, Leg(device, 0))})
            case AnswerLeg(call, leg) | StartLeg(call, leg):
                return replace(seat, legs=seat.legs | {(call, leg)})
            case CloseLeg(call, leg):
                return replace(seat, legs=seat.legs - {(call, leg)})
            case OpenMedia(call):
                return replace(seat, media=seat.media | {call})
            case CloseMedia(call):
                return replace(seat, media=seat.media - {call})
            case _:
                return seat

    def _post(self, me: Device, output: Output) -> list[Mail]:
        def to(device: Device, fact: Fact) -> Mail:
            return self._index[device], fact

        match output:
            case SendRing(call, devices):
                return [to(device, Rang(call, me, 0.0, self._early_leg)) for device in devices]
            case SendRinging(call, device, early_leg):
                return [to(device, RingingReceived(call, me, early_leg is not EarlyLeg.NONE))]
            case SendAccept(call, device, offer_leg):
                return [to(device, AcceptReceived(call, me, offer_leg))]
            case SendEnd(call, devices, reason, accepted, stage, cause):
                return [to(device, EndReceived(call, me, reason, accepted, stage, cause)) for device in devices]
            case SendPlease(call, leg, stalled):
                return [to(leg.device, PleaseReceived(call, Leg(me, leg.generation), stalled))]
            case StartLeg(call, leg):
                return [to(leg.device, LegOffered(call, Leg(me, leg.generation)))]
            case _:
                return []

    # --- what must hold ---

    def _verdict(self, numbers: Numbers) -> tuple[tuple[str, ...], str | None]:
        """What a quiet state is, in words, and what is wrong with it."""
        found = self._verdicts.get(numbers)
        if found is None:
            seats = [self._seats.values[number] for number in numbers]
            found = self._verdicts[numbers] = (tuple(map(describe, seats)), fault(seats))
        return found

    def _trace(self, came_from: dict[State, tuple[State, tuple[int, int]] | None], state: State) -> list[str]:
        steps = []
        while (before := came_from[state]) is not None:
            state, (seat, fact) = before
            device = self._devices[seat]
            steps.append(f"  {device.address}/{device.id} <- {self._facts.values[fact]}")
        return steps[::-1]


def _with(values: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    """The same with another value in one place."""
    return (*values[:place], value, *values[place + 1 :])


def _knows(desk: Desk, fact: Fact) -> bool:
    call = getattr(fact, "call", None)
    return (desk.live is not None and desk.live.id == call) or any(buried == call for _, buried in desk.tombstones)
