"""Several pure hubs over one store, and a bus between them that a test cuts and mends; nothing takes any time."""

from __future__ import annotations

import random
from dataclasses import replace

from entrenous_signaling.outputs import Output, Publish
from entrenous_signaling.settings import HubSettings
from entrenous_wire.messages import Resume, Welcome

from .hubworld import SERVER, START, HubNode, HubWorld
from .memorystore import MemoryStore

SETTINGS = HubSettings(name=SERVER, message_key=bytes(32))


class OneOfMany(HubWorld):
    """A hub that is not alone.

    Args:
        hubs: all of them.
        number: its place among them.
        settings: what it has to know.
    """

    def __init__(self, hubs: ManyHubs, number: int, settings: HubSettings) -> None:
        self._hubs = hubs
        self._starts = 0
        self._number = number
        super().__init__(replace(settings, node=bytes(8)))
        self.store = hubs.store
        self.on_the_bus = True
        self._random = random.Random(number)
        self._begin()

    @property
    def name(self) -> bytes:
        """Of this start of it."""
        return bytes([self._number]) + self._starts.to_bytes(7, "big")

    def run(self, outputs: list[Output]) -> None:
        """Carry outputs out, and what follows from them at all hubs."""
        super().run(outputs)
        super().run(self.hub.flush(self.now))
        self._hubs.carry()

    def resume(self, welcome: Welcome, last_seq: int = 0) -> HubNode:
        """A new connection that takes a session up again."""
        node, _ = self.connect()
        return node.say(Resume(token=welcome.token, last_seq=last_seq))

    def kill_and_restart(self) -> None:
        """SIGKILL and a new start."""
        super().kill_and_restart()
        self._begin()

    def cut(self) -> None:
        """The bus is gone for this hub, which knows it."""
        self.on_the_bus = False
        self.run(self.hub.bus_lost(self.now))

    def mend(self) -> None:
        """The bus is back."""
        self.on_the_bus = True
        self.run(self.hub.bus_connected(self.now))

    def _begin(self) -> None:
        self._starts += 1
        self.settings = replace(self.settings, node=self.name)
        self.hub = self._new_hub()
        self.run(self.hub.bus_connected(self.now))


class ManyHubs:
    """Hubs that have met.

    Args:
        count: how many.
        settings: of all of them.
    """

    def __init__(self, count: int = 3, settings: HubSettings = SETTINGS) -> None:
        self.now = START
        self.store = MemoryStore()
        self.deaf: set[tuple[OneOfMany, OneOfMany]] = set()
        """Pairs of which the first does not hear the second, though both hear the bus."""
        self.hubs: list[OneOfMany] = []
        self._carrying = False
        for number in range(count):
            self.hubs.append(OneOfMany(self, number, settings))
        self.advance(0.1)

    def part(self, one: OneOfMany, other: OneOfMany) -> None:
        """Let neither of two hear the other."""
        self.deaf |= {(one, other), (other, one)}

    def carry(self) -> None:
        """Hand on what was published, until nobody has anything to say."""
        if self._carrying:
            return
        self._carrying = True
        while any(hub.published for hub in self.hubs):
            for sender in self.hubs:
                published, sender.published = sender.published, []
                for output in published:
                    self._hand_on(sender, output)
        self._carrying = False

    def advance(self, seconds: float) -> None:
        """Let time pass at all hubs, with every deadline in its order."""
        end = self.now + seconds
        while True:
            due, hub = min(
                ((at, hub) for hub in self.hubs if (at := hub.hub.next_deadline()) is not None),
                key=lambda one: one[0],
                default=(end + 1.0, None),
            )
            if hub is None or due > end:
                break
            self._set_now(max(self.now, due))
            hub.run(hub.hub.tick(self.now))
        self._set_now(end)

    def _hand_on(self, sender: OneOfMany, output: Publish) -> None:
        for hub in self.hubs:
            reached = sender.on_the_bus and hub.on_the_bus and (hub, sender) not in self.deaf
            if hub is not sender and reached and output.node in (None, hub.name):
                hub.run(hub.hub.bus_received(output.payload, self.now))

    def _set_now(self, now: float) -> None:
        self.now = now
        for hub in self.hubs:
            hub.now = now
