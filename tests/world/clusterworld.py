"""Several real pure hubs over one store in simulated time, behind one name, with a bus between them as bad as any.

To devices it is a server: a link that arrives goes to any node that is up, so that almost every session is taken up
again at another node than the last one.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from entrenous_signaling.hub import Hub
from entrenous_signaling.settings import HubSettings

from .clock import Clock
from .links import Link, LinkEnd
from .simserver import SERVER, NumberedEnd, SimServer


@dataclass(frozen=True)
class BusWeather:
    """What the bus does to payloads; shares from 0 to 1, times in seconds.

    Args:
        slowest: how long one may take, so that others overtake it.
        loss: how many are lost.
        repeats: how many come twice.
    """

    slowest: float = 0.03
    loss: float = 0.03
    repeats: float = 0.03


class SimCluster(SimServer):
    """A cluster that looks like one server.

    Args:
        clock: simulated time.
        draw: the randomness of the run.
        count: nodes.
        weather: of the bus.
    """

    def __init__(
        self,
        clock: Clock,
        draw: random.Random,
        count: int = 3,
        weather: BusWeather = BusWeather(),  # frozen
    ) -> None:
        self.weather = weather
        self.parted: set[frozenset[SimNode]] = set()
        """Pairs of which neither hears the other, though both hear the bus."""
        self.nodes: list[SimNode] = []
        self._node_of: dict[int, SimNode] = {}
        super().__init__(clock, draw)
        self.nodes += [SimNode(self, clock, draw) for _ in range(count)]

    @property
    def up(self) -> bool:
        """Whether any node is."""
        return any(node.up for node in self.nodes)

    def start(self) -> None:
        """Start what was killed."""
        for node in self.nodes:
            if not node.up:
                node.start()

    def kill(self) -> None:
        """SIGKILL for one of the nodes that are up."""
        self.kills += 1
        self.draw.choice([node for node in self.nodes if node.up]).kill()

    def end_of(self) -> LinkEnd:
        """The far end of a new link; whose it is turns out when it arrives."""
        self._connections += 1
        number = self._connections
        return NumberedEnd(
            number,
            lambda frame: self._node_of[number].hear(number, frame),
            lambda: self._node_of[number].lost(number) if number in self._node_of else None,
        )

    def accept(self, link: Link) -> None:
        """A link arrived."""
        assert isinstance(link.server, NumberedEnd)
        node = self.draw.choice([node for node in self.nodes if node.up])
        self._node_of[link.server.number] = node
        node.accept(link)

    @property
    def draw(self) -> random.Random:
        """The randomness of the run."""
        return self._draw

    # --- misfortunes; each is over after a while ---

    def part_two(self, seconds: float) -> None:
        """Let two nodes not hear each other."""
        pair = frozenset(self.draw.sample(self.nodes, 2))
        self.parted.add(pair)
        self._clock.after(seconds, lambda: self.parted.discard(pair))

    def cut_off_one(self, seconds: float) -> None:
        """Let a node be without the bus, which it notices a moment later."""
        node = self.draw.choice(self.nodes)
        node.leave_bus()
        self._clock.after(seconds, node.join_bus)

    def stop_one(self, seconds: float) -> None:
        """Let a node go down on purpose."""
        self.draw.choice(self.nodes).stop()
        self._clock.after(seconds, self.start)

    def fail_store_of_one(self, seconds: float) -> None:
        """Let a node be without the database."""
        node = self.draw.choice(self.nodes)
        node.store_down = True

        def back() -> None:
            node.store_down = False

        self._clock.after(seconds, back)

    def carry(self, sender: SimNode, target: bytes | None, payload: bytes) -> None:
        """A node has published something."""
        for node in self.nodes:
            if node is sender or target not in (None, node.name):
                continue
            for _ in range(2 if self.draw.random() < self.weather.repeats else 1):
                if self.draw.random() >= self.weather.loss:
                    self._clock.after(self.draw.uniform(0.001, self.weather.slowest), node.delivery(sender, payload))


class SimNode(SimServer):
    """One node of a cluster, one process after the other."""

    def __init__(self, cluster: SimCluster, clock: Clock, draw: random.Random) -> None:
        self.name = b""
        self.on_the_bus = True
        self._cluster = cluster
        self._is_turn_ending = False
        super().__init__(clock, draw)
        self.store = cluster.store
        self.closed, self.durations, self.discarded = cluster.closed, cluster.durations, cluster.discarded

    def start(self) -> None:
        """A process starts, and finds the bus unless that is gone."""
        self.name = self._draw.randbytes(8)
        super().start()
        if self.on_the_bus:
            self.join_bus()

    def leave_bus(self) -> None:
        """The bus is gone."""
        self.on_the_bus = False
        if self._hub is not None:
            self._run(self._hub.bus_lost(self._clock.now))

    def join_bus(self) -> None:
        """The bus is there (again)."""
        self.on_the_bus = True
        if self._hub is not None:
            self._run(self._hub.bus_connected(self._clock.now))

    def stop(self) -> None:
        """Go down on purpose, once everything is said that the hub says then."""
        if self._hub is not None:
            self._run(self._hub.stop(self._clock.now))
            self.kill()

    @property
    def hub(self) -> Hub | None:
        """Of the process that runs."""
        return self._hub

    def delivery(self, sender: SimNode, payload: bytes) -> Callable[[], None]:
        """What happens when a payload comes here."""
        name = self.name

        def arrive() -> None:
            parted = frozenset((self, sender)) in self._cluster.parted
            if self._hub is not None and self.name == name and self.on_the_bus and not parted:
                self._run(self._hub.bus_received(payload, self._clock.now))

        return arrive

    def _settings(self) -> HubSettings:
        return HubSettings(name=SERVER, message_key=bytes(32), node=self.name)

    def _arm(self) -> None:
        """Once a turn, however much comes in it, speak to the other nodes and set the timer."""
        if not self._is_turn_ending:
            self._is_turn_ending = True
            self._clock.after(0.0, self._end_turn)

    def _end_turn(self) -> None:
        self._is_turn_ending = False
        if self._hub is not None:
            self._carry_out(self._hub.flush(self._clock.now))
        super()._arm()

    def _publish(self, node: bytes | None, payload: bytes) -> None:
        if self.on_the_bus:
            self._cluster.carry(self, node, payload)
