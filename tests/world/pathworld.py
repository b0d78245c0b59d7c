"""Two ends of a call that decide on their paths in a simulated network: addresses, links, media, one clock."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from entrenous.media.transport.pairs import CONSENT_LIFETIME, Local, Pair, Remote
from entrenous.media.transport.paths import Paths
from entrenous.media.transport.stun import Address


@dataclass
class Link:
    """What happens to datagrams from one address to another."""

    delay: float = 0.01
    jitter: float = 0.0
    loss: float = 0.0
    up: bool = True
    since: float = 0.0


@dataclass
class End:
    """One end, with what happened to it."""

    name: str
    paths: Paths
    locals: dict[Address, Local] = field(default_factory=dict)
    sends_media: bool = True
    heard: list[float] = field(default_factory=list)
    checks: int = 0
    moved: list[tuple[float, Pair]] = field(default_factory=list)
    used: Pair | None = None
    round: int = 0


class PathWorld:
    """Two ends, any number of addresses, one simulated clock."""

    def __init__(
        self, *, seed: int = 1, hold: float = 0.2, loss: float = 0.0, delay: float = 0.01, media: float = 0.02
    ) -> None:
        self.now = 100.0
        self.media_interval = media
        self.random = random.Random(seed)
        self.ends = tuple(
            End(name, Paths(controlling=name == "a", hold=hold, seed=self.random.random())) for name in "ab"
        )
        self.default = Link(delay=delay, loss=loss)
        self.links: dict[tuple[Address, Address], Link] = {}
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        for number, end in enumerate(self.ends):
            self.at(self.now + number * 0.007, lambda end=end: self._media(end))
            self.at(self.now, lambda end=end: self._poll(end))

    @property
    def a(self) -> End:
        """The controlling end."""
        return self.ends[0]

    @property
    def b(self) -> End:
        """The controlled end."""
        return self.ends[1]

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Do something then."""
        heapq.heappush(self._queue, (when, next(self._order), action))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        while self._queue and self._queue[0][0] <= until:
            self.now, _, action = heapq.heappop(self._queue)
            action()
        self.now = until

    def add(self, end: End, host: str, kind: str = "host", *, tell: bool = True) -> Address:
        """Give an end an address; the other end is told of it unless `tell` is False."""
        address = Address(host, 1000 + len(end.locals))
        local = Local(is_ipv6=":" in host, relayed=kind == "relay", priority=1)
        end.locals[address] = local
        end.paths.add_local(local, self.now)
        if tell:
            self.other(end).paths.add_remote(Remote(address, kind), self.now)
        return address

    def take(self, end: End, address: Address) -> None:
        """Take an address away."""
        end.paths.drop_local(end.locals.pop(address))

    def changed(self, end: End) -> None:
        """Tell an end that its network has changed."""
        end.paths.network_changed(self.now)
        self._poll(end)

    def start(self) -> None:
        """Let both ends begin."""
        for end in self.ends:
            end.paths.start(self.now)

    def other(self, end: End) -> End:
        """The other one."""
        return self.b if end is self.a else self.a

    def link(self, one: Address, two: Address) -> Link:
        """What happens from one address to another."""
        return self.links.get((one, two), self.default)

    def cut(self, *addresses: Address, up: bool = False) -> None:
        """Everything to and from these is lost, or works again."""
        every = {address for end in self.ends for address in end.locals}
        for address in addresses:
            for far in every:
                for key in ((address, far), (far, address)):
                    old = self.link(*key)
                    self.links[key] = Link(old.delay, old.jitter, old.loss, up)

    def address(self, local: Local) -> Address | None:
        """Where a local base is, None when it was taken away."""
        return next((a for end in self.ends for a, each in end.locals.items() if each is local), None)

    def carry(self, origin: Address, target: Address, deliver: Callable[[End, Local], bool]) -> None:
        """Send a datagram: whoever has the target gets it, or nobody."""
        link = self.link(origin, target)
        if not link.up or self.random.random() < link.loss:
            return

        def arrive() -> None:
            for end in self.ends:
                if target in end.locals and end.locals[target].is_up and deliver(end, end.locals[target]):
                    self._poll(end)

        self.at(self.now + link.delay + self.random.random() * link.jitter, arrive)

    def _media(self, end: End) -> None:
        self.at(self.now + self.media_interval, lambda: self._media(end))
        pair = end.paths.selected
        if pair is None or not pair.may_send(self.now) or not end.sends_media:
            return
        assert self.now < pair.answered_at + CONSENT_LIFETIME
        assert pair in end.paths.pairs
        origin = self.address(pair.local)
        assert origin is not None

        def deliver(receiver: End, local: Local) -> bool:
            receiver.heard.append(self.now)
            return receiver.paths.media_heard(local, origin, self.now)

        self.carry(origin, pair.remote.address, deliver)

    def _poll(self, end: End) -> None:
        for check in end.paths.poll(self.now):
            self._check(end, check)
        self._look(end)
        end.round += 1
        due, current = max(self.now + 0.001, end.paths.deadline(self.now)), end.round
        self.at(due, lambda: self._poll(end) if end.round == current else None)

    def _look(self, end: End) -> None:
        if end.paths.selected is not end.used and end.paths.selected is not None:
            end.used = end.paths.selected
            end.moved.append((self.now, end.used))

    def _check(self, end: End, check: Any) -> None:
        end.checks += 1
        origin, sent_at, pair = self.address(check.pair.local), self.now, check.pair
        assert origin is not None
        assert pair.local.is_up

        def answered(asker: End, _: Local) -> bool:
            asker.paths.answered(pair, sent_at, self.now)
            return True

        def asked(receiver: End, local: Local) -> bool:
            nominated = check.nomination is not None
            receiver.paths.check_heard(
                local, Remote(origin, "prflx"), self.now, nominated=nominated, nomination=check.nomination
            )
            self.carry(pair.remote.address, origin, answered)
            return True

        self.carry(origin, pair.remote.address, asked)

    def gap(self, end: End, since: float) -> float:
        """The longest time without media at an end since then."""
        times = [since, *(at for at in end.heard if at >= since), self.now]
        return max(later - earlier for earlier, later in itertools.pairwise(times))


def direct(world: PathWorld) -> tuple[Address, Address]:
    """An address for each end."""
    return world.add(world.a, "10.0.0.1"), world.add(world.b, "10.0.0.2")


def relays(world: PathWorld) -> tuple[Address, Address]:
    """A relay for each end."""
    return world.add(world.a, "10.9.0.1", "relay"), world.add(world.b, "10.9.0.2", "relay")
