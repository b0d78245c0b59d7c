"""What was sent and what became of it: transport-wide feedback matched with its packets (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..feedback import REFERENCE_TICKS, TICK, TransportFeedback

REMEMBERED_PACKETS = 8192
REMEMBERED_SECONDS = 10.0
"""How many packets, and for how long, still may be reported on."""

_NUMBERS = 1 << 16
_REFERENCES = 1 << 24


@dataclass(slots=True)
class SentPacket:
    """One packet on its way.

    Args:
        at: monotonic seconds at which it left.
        size: bytes on the wire, all headers included.
        probe: the probe that it belongs to, None when to none.
        missed: whether a feedback has called it missing.
    """

    at: float
    size: int
    probe: int | None
    missed: bool = False


@dataclass(slots=True)
class Arrival:
    """One packet that arrived.

    Args:
        sent_at: monotonic seconds, by our clock.
        arrived_at: seconds by the receiver's clock.
        size: bytes on the wire.
        probe: the probe that it belongs to, None when to none.
    """

    sent_at: float
    arrived_at: float
    size: int
    probe: int | None


@dataclass(slots=True)
class Outcome:
    """What one feedback tells that was not known before.

    Args:
        arrivals: in the order of sending.
        missing: packets called missing for the first time.
        late: packets of `arrivals` that an earlier feedback had called missing.
    """

    arrivals: list[Arrival] = field(default_factory=list)
    missing: list[SentPacket] = field(default_factory=list)
    late: int = 0


class SendHistory:
    """Numbers what is sent and remembers it until it is reported on."""

    def __init__(self) -> None:
        self._sent: dict[int, SentPacket] = {}
        self._next = 0
        self._reference: int | None = None
        self.in_flight_since: float | None = None
        """When the oldest packet left that no feedback has reached yet; None: nothing is under way."""
        self._reported = -1

    @property
    def next_number(self) -> int:
        """The transport-wide sequence number of the next packet, 16 bits."""
        return self._next % _NUMBERS

    def add(self, at: float, size: int, probe: int | None = None) -> None:
        """Note that the packet with `next_number` left at monotonic time `at` with `size` bytes on the wire."""
        sent = self._sent
        sent[self._next] = SentPacket(at, size, probe)
        self._next += 1
        if self.in_flight_since is None:
            self.in_flight_since = at
        oldest = next(iter(sent))
        if len(sent) > REMEMBERED_PACKETS or at - sent[oldest].at > REMEMBERED_SECONDS:
            del sent[oldest]

    def match(self, feedback: TransportFeedback) -> Outcome:
        """What a feedback says about packets of ours; whatever it says about others is ignored."""
        outcome = Outcome()
        newest = self._next - 1
        number = newest - (newest - feedback.base_sequence) % _NUMBERS
        begin = self._begin(feedback.reference)
        for ticks in feedback.arrivals:
            packet = self._sent.get(number)
            if packet is None:
                pass
            elif ticks is None:
                if not packet.missed:
                    packet.missed = True
                    outcome.missing.append(packet)
            else:
                del self._sent[number]
                outcome.late += packet.missed
                outcome.arrivals.append(Arrival(packet.at, begin + ticks * TICK, packet.size, packet.probe))
            if packet is not None and number > self._reported:
                self._reported = number
            number += 1
        following = self._sent.get(self._reported + 1)
        self.in_flight_since = following.at if following is not None else None
        return outcome

    def _begin(self, reference: int) -> float:
        """The receiver's time at a 24-bit reference, continued across its wrap."""
        if self._reference is None:
            self._reference = reference
        else:
            step = (reference - self._reference + _REFERENCES // 2) % _REFERENCES - _REFERENCES // 2
            self._reference += step
        return self._reference * REFERENCE_TICKS * TICK
