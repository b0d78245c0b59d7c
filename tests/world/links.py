"""Seeded connections that behave as TCP does: in order, late, and lost as a whole when they are cut."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from .clock import Clock


@dataclass(frozen=True)
class Weather:
    """How bad the network is; times in seconds.

    Args:
        fastest, slowest: one-way delay.
        hiccup: how often a frame is held up by a lost packet.
        hiccup_seconds: how long, at most.
        notice_seconds: how long an end may take, at most, to notice a cut.
    """

    fastest: float = 0.01
    slowest: float = 0.12
    hiccup: float = 0.03
    hiccup_seconds: float = 3.0
    notice_seconds: float = 30.0


class LinkEnd:
    """One end of a link.

    Args:
        hear: takes each frame of the other end.
        lost: told once that the link is gone, unless this end closed it.
    """

    def __init__(self, hear: Callable[[str], None], lost: Callable[[], None]) -> None:
        self.hear = hear
        self.lost = lost
        self.open = True
        self.free_at = 0.0
        """When the frames that are on their way to this end have arrived."""


class Link:
    """A connection between a node and a server.

    Args:
        clock: simulated time.
        draw: the randomness of the run.
        weather: delays.
        node, server: the ends.
    """

    def __init__(self, clock: Clock, draw: random.Random, weather: Weather, node: LinkEnd, server: LinkEnd) -> None:
        self._clock = clock
        self._draw = draw
        self._weather = weather
        self.node = node
        self.server = server
        self._whole = True

    def say_to(self, end: LinkEnd, frame: str) -> None:
        """Send a frame to `end`; it is lost when the link is cut before it arrives."""
        if self._whole:
            self._later(end, lambda: end.hear(frame))

    def close_from(self, end: LinkEnd) -> None:
        """`end` closes the link: what it said before still arrives, then the other end learns of it."""
        other = self.server if end is self.node else self.node
        end.open = False
        if self._whole:
            self._later(other, lambda: self._lose(other))

    def cut(self) -> None:
        """What is in flight is gone, and each end notices in its own time."""
        if self._whole:
            self._whole = False
            for end in (self.node, self.server):
                wait = self._draw.uniform(0.0, self._weather.notice_seconds)
                self._clock.after(wait, lambda end=end: self._lose(end))  # type: ignore[misc]  # binds the loop's end

    def _later(self, end: LinkEnd, action: Callable[[], None]) -> None:
        delay = self._draw.uniform(self._weather.fastest, self._weather.slowest)
        if self._draw.random() < self._weather.hiccup:
            delay += self._draw.uniform(0.0, self._weather.hiccup_seconds)
        end.free_at = max(end.free_at, self._clock.now + delay)

        def arrive() -> None:
            if self._whole and end.open:
                action()

        self._clock.at(end.free_at, arrive)

    def _lose(self, end: LinkEnd) -> None:
        if end.open:
            end.open = False
            end.lost()
