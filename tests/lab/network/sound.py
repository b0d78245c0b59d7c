"""What the two ends of a call heard while their network changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from world.hearing import AUDIBLE, heard_at, longest_gap
from world.nodeproc import NodeProcess

STEADY_SECONDS = 0.5
"""How long the tone must be there without a hole until sound is taken to be back for good."""
_HOLE = 0.1
_LOOK_SECONDS = 0.1

Blocks = Sequence[tuple[float, float]]


class CallLost(AssertionError):  # noqa: N818 - what happened to the call, told by a test that fails with it
    """The call ended, or sound did not come back in time."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One end, from a change on.

    Args:
        gap: seconds of the longest time without the tone.
        back: seconds from the moment that was asked about to the next tone.
    """

    gap: float
    back: float


async def sound_back(
    *nodes: NodeProcess, since: float, asked: float | None = None, settle: float = 1.5, within: float = 30.0
) -> list[Heard]:
    """Wait until each of these nodes hears the tone steadily after a change; tells what it missed.

    Args:
        nodes: with the option `hear`, in a call.
        since: monotonic time of the change.
        asked: from when `Heard.back` counts; `since` by default.
        settle: for so many seconds after `since` (or `asked`) the effects of the change may still begin.
        within: seconds from now after which the call is taken for lost.

    Raises:
        CallLost: the call ended, or sound did not come back in time.
    """
    asked = since if asked is None else asked
    deadline = time.monotonic() + within
    await asyncio.sleep(max(0.0, asked + settle - time.monotonic()))  # what has not begun has no event
    return list(await asyncio.gather(*(_back(node, since, asked, deadline) for node in nodes)))


async def _back(node: NodeProcess, since: float, asked: float, deadline: float) -> Heard:
    while True:
        blocks = await node.heard(since - 1.0)
        if any(said["event"] == "Ended" and said["at"] >= since for said in node.said):
            raise CallLost("the call ended")
        now = time.monotonic()
        if is_steady(blocks, now):
            until = max(at for at, level in blocks if level >= AUDIBLE)
            return Heard(longest_gap(blocks, since, until), (heard_at(blocks, asked) or now) - asked)
        if now > deadline:
            raise CallLost("sound did not come back")
        await asyncio.sleep(_LOOK_SECONDS)  # a tone without a hole has no event


def is_steady(blocks: Blocks, now: float) -> bool:
    """Whether the tone was there without a hole for the last `STEADY_SECONDS`."""
    return longest_gap(blocks, now - STEADY_SECONDS, now) < _HOLE
