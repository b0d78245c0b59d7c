"""Devices that talk and call all the time, and whether what became of it is what each of them was told."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Sequence

from entrenous_wire.messages import Kind

from .talker import Saying, Talker

BEAT = 0.05

Pair = tuple[Talker, Talker]
"""Who talks, and to whom."""


class Load:
    """The first of each pair talks to the second, and they begin and end calls, until it is over.

    Args:
        pairs: in which a device may be several times.
        beat: seconds between two messages of a pair.
    """

    def __init__(self, pairs: Sequence[Pair], beat: float = BEAT) -> None:
        self.pairs = pairs
        self._beat = beat
        self.calls = 0
        self._going: dict[Pair, tuple[bytes, Saying]] = {}
        self._over = asyncio.Event()
        self._task = asyncio.create_task(self._go_on())

    @property
    def talkers(self) -> set[Talker]:
        """Everybody."""
        return {talker for pair in self.pairs for talker in pair}

    async def end(self) -> None:
        """Talk no more, hang up, and wait until all is settled."""
        self._over.set()
        await self._task
        for pair, (_, accept) in list(self._going.items()):
            assert await accept.outcome() is None
            self._hang_up(pair)
        for talker in self.talkers:
            await talker.until_settled()

    def check(self) -> None:
        """All that was said to any of them was delivered, and each has heard just that: in order, each of it once."""
        for sender, receiver in itertools.permutations(self.talkers, 2):
            said = [saying for saying in sender.said if _is_for(saying, receiver)]
            lost = [saying for saying in said if saying.settled.result() is not None]
            assert not lost, [(saying.message.kind, saying.settled.result()) for saying in lost]
            heard = [message.id for message in receiver.heard if message.sender == sender.account.address]
            assert heard == [saying.message.id for saying in said]

    async def until_all_get_through(self) -> None:
        """Wait until something that each says from now on has been delivered."""
        for saying in [talker.say(other) for talker, other in self.pairs]:
            assert await saying.outcome() is None

    async def _go_on(self) -> None:
        for calling in itertools.cycle(self.pairs):
            for talker, other in self.pairs:
                talker.say(other)
            self._call(calling)
            try:
                async with asyncio.timeout(self._beat):
                    await self._over.wait()
            except TimeoutError:
                continue
            return

    def _call(self, pair: Pair) -> None:
        """Begin a call, and end the one before, once its caller has heard that it was answered."""
        caller, callee = pair
        if pair in self._going:
            if not self._going[pair][1].settled.done():
                return
            self._hang_up(pair)
        call = os.urandom(16)
        caller.say(callee, Kind.RING, call)
        self._going[pair] = call, callee.say(caller, Kind.ACCEPT, call)
        self.calls += 1

    def _hang_up(self, pair: Pair) -> None:
        caller, callee = pair
        call, _ = self._going.pop(pair)
        caller.say(callee, Kind.END, call)
        callee.say(caller, Kind.END, call)


def _is_for(saying: Saying, receiver: Talker) -> bool:
    return (saying.message.to, saying.message.device) == (receiver.account.address, receiver.account.device)
