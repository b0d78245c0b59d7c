"""The one shell of the pure desk: facts in one by one, orders out in order, one timer."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from .protocol.call import CallMachine
from .protocol.desk import Desk
from .protocol.inputs import Input
from .protocol.outputs import Output


class DeskRunner:
    """Feeds a desk and carries out what it asks for.

    Args:
        desk: with no call in it yet.
        carry_out: does one thing that the desk asks for; it may report further facts, which wait their turn.
    """

    def __init__(self, desk: Desk, carry_out: Callable[[Output], None]) -> None:
        self._desk = desk
        self._carry_out = carry_out
        self._facts: deque[Input | None] = deque()
        self._working = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def live(self) -> CallMachine | None:
        """The call that occupies this device."""
        return self._desk.live

    @property
    def dropped(self) -> int:
        """Facts that came late, twice, or that the protocol does not allow."""
        return self._desk.dropped

    def report(self, fact: Input) -> None:
        """Feed the desk a fact, carry out what it asks for, arm its timer; facts that come meanwhile wait.

        Raises:
            LocalProtocolError: our own caller did something that the protocol does not allow now.
        """
        self._feed(fact)

    def stop(self) -> None:
        """Let no deadline pass any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _feed(self, fact: Input | None) -> None:
        """The same with None for time that has passed."""
        self._facts.append(fact)
        if self._working:
            return
        self._working = True
        try:
            while self._facts:
                self._step(self._facts.popleft())
        finally:
            self._working = False
        self._arm()

    def _step(self, fact: Input | None) -> None:
        now = time.monotonic()
        self._desk, asked = self._desk.handle_timeout(now) if fact is None else self._desk.handle(fact, now)
        for output in asked:
            self._carry_out(output)

    def _arm(self) -> None:
        self.stop()
        deadline = self._desk.next_deadline()
        if deadline is not None:
            delay = max(0.0, deadline - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._feed, None)
