"""What a session may send: the rate that delay, loss and probes allow, and when to probe (pure, driven by `now`)."""

from __future__ import annotations

from ..feedback import TransportFeedback
from ..stats import RateMeter
from .aimd import DelayBasedRate
from .draining import LONG_QUEUE, Drain
from .groups import ArrivalGroups
from .history import Arrival, SendHistory
from .loss import TOLERATED, LossBound
from .probing import Probe, Prober
from .queueing import QueueDelay
from .throughput import Throughput
from .trendline import Trendline, Usage

START_RATE = 600_000.0
LEAST_RATE = 40_000.0
GREATEST_RATE = 20_000_000.0
"""Bits a second at the beginning, and the bounds at all times; the least carries sound."""

SILENCE = 1.0
"""Seconds without feedback, while packets are under way, after which the rate is halved, and halved again."""

SUDDEN_QUEUE = 0.080
SUDDEN_SHARE = 0.3
"""Seconds by which the queue has to exceed its sliding average to be congestion without a look at the slope, and the
share that each feedback has in that average."""

PROOF_SECONDS = 1.5
"""Seconds for which the rate that a probe has shown counts as arriving."""

LIMITED_SHARE = 0.65
"""Share of the rate below which what is sent is limited by what there is to send."""

PATH_CHANGE_SHARE = 0.5
"""Share of the rate that is kept on a path of which nothing is known."""

_UNKNOWN_ROUND_TRIP = 0.1


class CongestionController:
    """Follows one path.

    Args:
        now: monotonic seconds.
    """

    def __init__(self, now: float) -> None:
        self.history = SendHistory()
        self.loss = LossBound()
        self.feedbacks = 0
        self.decreases = 0
        """Times that the rate was taken down because a queue built up."""
        self.timeouts = 0
        self.round_trip: float | None = None
        """Seconds from sending to its feedback, of the newest packet of the last one; None until there was one."""
        self._delay = DelayBasedRate(START_RATE, now)
        self._sent_rate = RateMeter(0.5)
        self._prober = Prober(now)
        self._quiet_at = now
        self._drain = Drain()
        self._path_since = now
        self._proven = 0.0
        self._proven_at = float("-inf")
        self._measure_anew()

    def _measure_anew(self) -> None:
        self._groups = ArrivalGroups()
        self._trendline = Trendline()
        self._throughput = Throughput()
        self._queue = QueueDelay()
        self._queued = 0.0

    @property
    def rate(self) -> float:
        """Bits a second on the wire that may be sent now, all headers included."""
        rate = min(self._delay.rate, self.loss.bound)
        rate *= self._drain.share(self._queue.seconds)
        return max(LEAST_RATE, min(GREATEST_RATE, rate))

    @property
    def queue_delay(self) -> float:
        """Seconds that packets wait on the way now, as far as feedback tells."""
        return self._queue.seconds

    @property
    def arriving(self) -> float | None:
        """Bits a second that arrive, None while unknown."""
        return self._throughput.rate()

    @property
    def bottleneck(self) -> float | None:
        """Bits a second beyond which packets may only wait on the way, None where nothing speaks for that."""
        known = [rate for rate in (self._prober.carried, self._delay.capacity.estimate) if rate is not None]
        return max(known) if known else None

    def sent(self, size: int, now: float, probe: int | None = None) -> None:
        """Note that the packet numbered `history.next_number` left with `size` bytes on the wire."""
        self.history.add(now, size, probe)
        self._sent_rate.add(size, now)
        self._check_silence(now)

    def _check_silence(self, now: float) -> None:
        since = self.history.in_flight_since
        if since is None or now - max(since, self._quiet_at) <= SILENCE + (self.round_trip or 0.0):
            return
        self._quiet_at = now
        self.timeouts += 1
        self._delay.rate = max(LEAST_RATE, self._delay.rate / 2)
        self._prober.fell(self._delay.rate * 2, self._delay.rate, now)

    def feedback(self, feedback: TransportFeedback, now: float) -> None:
        """Take one feedback that arrived at monotonic time `now`."""
        outcome = self.history.match(feedback)
        arrivals = outcome.arrivals
        if not arrivals and not outcome.missing:
            return
        self.feedbacks += 1
        self._quiet_at = now
        probed = None
        octets = 0
        for arrival in arrivals:
            octets += arrival.size
            if arrival.sent_at >= self._path_since:
                probed = self._take(arrival, now) or probed
        if arrivals:
            self.round_trip = max(0.0, now - max(arrival.sent_at for arrival in arrivals))
        self.loss.add(len(arrivals), octets, outcome.missing, outcome.late, now)
        self._adjust(probed, now)

    def _take(self, arrival: Arrival, now: float) -> float | None:
        self._throughput.add(arrival.arrived_at, arrival.size)
        self._queue.add(arrival.sent_at, arrival.arrived_at)
        step = self._groups.add(arrival.sent_at, arrival.arrived_at)
        if step is not None:
            self._trendline.add(step)
        return self._prober.arrived(arrival, self._queue.trembling, now) if arrival.probe is not None else None

    def _usage(self, now: float, *, limited: bool) -> Usage:
        """What the delays say of the path, where it is the path and us that they speak of."""
        queue = self._queue.seconds
        grown = queue - self._queued
        self._queued += SUDDEN_SHARE * grown
        usual = self._queue.usual
        self._queue.look()
        usage = Usage.OVERUSED if grown > SUDDEN_QUEUE else self._trendline.usage
        if usage is not Usage.OVERUSED:
            return usage
        others = self._drain.contended(now) and self.loss.loss <= TOLERATED
        jitter = queue <= usual or (limited and self._queue.only_trembles)
        return Usage.NORMAL if others or jitter else usage

    def _adjust(self, probed: float | None, now: float) -> None:
        before, bounded = self._delay.rate, self._delay.capacity.estimate is not None
        limited = self.limited(now)
        usage = self._usage(now, limited=limited)
        round_trip = _UNKNOWN_ROUND_TRIP if self.round_trip is None else self.round_trip
        climbing = self._prober.climbs(before, self._queue.trembling, now) and self.loss.bound > before
        if self._delay.update(usage, self._measured(now), round_trip, now, limited=limited, climbing=climbing):
            self.decreases += 1
            self._prober.fell(before, self._delay.rate, now)
            self._drain.begin(self._queue.seconds, now)
        elif probed is not None and usage is not Usage.OVERUSED:
            self._delay.raise_to(probed)
            self._proven, self._proven_at = probed, now
        elif bounded and self._delay.capacity.estimate is None:
            self._prober.widened(now)
        self._drain.follow(self._queue.seconds, self._queue.standing, now)
        self._delay.rate = max(LEAST_RATE, min(GREATEST_RATE, self._delay.rate))

    def _measured(self, now: float) -> float | None:
        """What arrives, as far as the path decides it.

        Where packets wait, it is what arrived over that time: the path was busy through all of it. Right after the
        rate was raised the average lags behind; what the probe has shown counts instead.
        """
        if self._queue.seconds > LONG_QUEUE:
            return self._throughput.rate(min(0.5, self._queue.seconds))
        arriving = self._throughput.rate()
        if arriving is not None and now - self._proven_at < PROOF_SECONDS:
            return max(arriving, self._proven)
        return arriving

    def limited(self, now: float) -> bool:
        """Whether less is sent than may be, for want of something to send."""
        return self._sent_rate.per_second(now) * 8 < LIMITED_SHARE * self.rate

    def probe(self, most: float, now: float) -> Probe | None:
        """The probe to begin now, if any.

        Args:
            most: bits a second that could be used at all.
            now: monotonic seconds.
        """
        if self._prober.rests(self._delay.rate, most, now):
            return None  # asked for each packet that leaves
        quiet = (
            self._trendline.usage is Usage.NORMAL
            and not self._drain.active
            and self.history.in_flight_since is not None
            and self.loss.bound > self._delay.rate
        )
        return self._prober.due(
            self._delay.rate,
            most,
            self._queue.trembling,
            now,
            quiet=quiet,
            limited=self.limited(now),
            bounded=self._delay.capacity.estimate is not None,
        )

    def path_changed(self, now: float) -> None:
        """Forget what was measured: packets take another path from now on, of which nothing is known yet."""
        arriving = self._throughput.rate()
        known = self._delay.rate if arriving is None else min(self._delay.rate, max(arriving, START_RATE))
        self._path_since = now
        self._measure_anew()
        self._delay = DelayBasedRate(max(LEAST_RATE, PATH_CHANGE_SHARE * known), now)
        self.loss = LossBound()
        self._drain = Drain()
        self._proven_at = float("-inf")
        self._quiet_at = now
        self._prober.start(now)
