"""Ten thousand nodes come back after a restart: real sessions and the real admission, under simulated time."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter

from entrenous.protocol.credentials import Credentials
from entrenous.protocol.session import Phase, Session
from entrenous.protocol.session_outputs import OpenTransport
from entrenous_signaling.addresses import KEY_BYTES
from entrenous_signaling.admission import SPREAD_SECONDS, Admission, TurnedAway
from entrenous_signaling.config import ServerConfig
from entrenous_signaling.limits import Bounds
from entrenous_signaling.proxies import TrustedProxies
from entrenous_wire.limits import SESSION_GRACE_SECONDS
from entrenous_wire.messages import Hello, RegistrationPolicy, Welcome

NODES = 10_000
SERVER = "x.example"
HELLO = Hello(server=SERVER, nonce=bytes(32), versions=[1], registration=RegistrationPolicy.OPEN)
WELCOME = Welcome(token=bytes(32), address="anna@x.example")
ROUND_TRIP = 0.05
BOUNDS = Bounds()


class Storm:
    """Nodes that are connected, and a server that goes down at 0 and is back some time later.

    Args:
        back: when it is back, in seconds.
        drain: whether it sends its nodes away until then, one after the other, rather than being gone at once.
    """

    def __init__(self, back: float, *, drain: bool = False) -> None:
        self.back = back
        self.drain = drain
        self._lots = random.Random(7)
        self._before, self._after = self._admission(), self._admission()
        self._before.start_draining(back, 0.0)
        credentials = Credentials(SERVER, "anna@x.example", "a" * 16, b"certificate", lambda _: bytes(64), None)
        self.nodes = [Session(credentials, draw=random.Random(number).random) for number in range(NODES)]
        self.let_in: Counter[int] = Counter()
        self.refused: Counter[int] = Counter()
        self.tried: Counter[int] = Counter()
        for node in self.nodes:
            node.start(-3600.0)
            self._log_in(node, -3600.0)

    def _admission(self) -> Admission:
        return Admission(
            BOUNDS, 2 * NODES, proxies=TrustedProxies(), key=bytes(KEY_BYTES), draw=self._lots.random, now=0.0
        )

    def run(self, seconds: float) -> None:
        """Everybody loses the connection, and so many seconds pass. The counters are of seconds after it is back."""
        count = itertools.count()
        last = self.back if self.drain else 0.0
        events = [(last * number / NODES, next(count), node, "lost") for number, node in enumerate(self.nodes)]
        while events and events[0][0] <= seconds:
            now, number, node, what = heapq.heappop(events)
            match what:
                case "lost":
                    node.transport_lost("Gone.", now, restarting=self.drain)
                case "tried":
                    self._try(node, number, now)
                case _:
                    node.handle_timeout(now)
            if any(isinstance(output, OpenTransport) for output in node.drain()):
                heapq.heappush(events, (now + ROUND_TRIP, next(count), node, "tried"))
            elif node.phase is Phase.PAUSED and (due := node.next_deadline()) is not None:
                heapq.heappush(events, (due, next(count), node, "due"))

    def _try(self, node: Session, number: int, now: float) -> None:
        second, down = int(now - self.back), now < self.back
        if down and not self.drain:
            node.transport_lost("Refused.", now)
            return
        doors = self._before if down else self._after
        self.tried[second] += not down
        try:
            doors.admit(f"198.18.{number // 250 % 250}.{number % 250}", (), self.let_in.total(), now)
        except TurnedAway as turned_away:
            self.refused[second] += not down
            node.transport_lost("Busy.", now, retry_after=float(turned_away.retry_after))
        else:
            self.let_in[second] += 1
            self._log_in(node, now)

    def _log_in(self, node: Session, now: float) -> None:
        node.transport_opened(now)
        node.receive(HELLO, now)
        node.receive(WELCOME, now)
        node.drain()
        assert node.phase is Phase.UP


def test_after_a_crash_nodes_come_back_over_the_time_that_the_server_asks_for() -> None:
    storm = Storm(back=0.2)  # the worst: it is back before anybody has waited
    storm.run(60.0)
    assert storm.let_in.total() == NODES
    rate = BOUNDS.connecting_rate
    assert storm.let_in[0] <= rate.burst + rate.per_second
    assert storm.refused[0] >= NODES / 4, "or this tests nothing"
    later = [storm.tried[second] for second in range(1, 60)]
    assert max(later) <= rate.per_second, "whoever was told to come again finds place"
    assert storm.refused.total() <= 1.1 * storm.refused[0]


def test_after_a_long_absence_of_the_server_the_lot_has_spread_everybody() -> None:
    storm = Storm(back=30.0)
    storm.run(70.0)
    assert storm.let_in.total() == NODES
    assert storm.refused.total() == 0
    assert max(storm.tried.values()) <= NODES / 8


def test_those_whom_a_server_sends_away_are_back_before_their_sessions_are_forgotten() -> None:
    storm = Storm(back=ServerConfig().drain_seconds, drain=True)
    storm.run(SESSION_GRACE_SECONDS)
    assert storm.let_in.total() == NODES
    assert storm.refused.total() == 0
    assert max(storm.tried.values()) <= NODES / 8
    assert storm.back + max(storm.let_in) < SESSION_GRACE_SECONDS - SPREAD_SECONDS
