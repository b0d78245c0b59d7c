"""When packets of sound leave (pure): on a beat of its own, which drifts after the source and hides its jitter.

A sound card or a file hands its blocks over in its own time, early and late by some milliseconds or two at once. If
packets left as they come, the network would see that, and the peer's buffer would have to be as deep. So each block
waits for its beat, and the beat settles where the latest blocks are still in time: it gives way quickly to one that is
late and comes back slowly.
"""

from __future__ import annotations

from .codecs.base import BLOCK_SECONDS

MARGIN = 0.002
"""Seconds that the latest blocks are to be early."""

MAX_RETURN = 0.0005
"""Seconds by which one beat may come earlier than a block after the last: 2.5 %, more than any clock drifts."""

MAX_CATCH_UP = 0.200
"""Seconds of beats that follow at once after the process was held up; what is older is left out."""

_RETURN = 0.02
_GIVE_WAY = 0.5
"""The shares of the distance from the margin that one block moves the beat by, to earlier and to later."""


class Beat:
    """The next beat.

    Args:
        now: monotonic seconds; the first beat is due now.
    """

    def __init__(self, now: float) -> None:
        self.due = now
        """Monotonic seconds of the next beat."""

    def follow(self, arrived_at: float) -> None:
        """Move after the source, given when the block of this beat had come."""
        early = self.due - arrived_at - MARGIN
        self.due -= min(MAX_RETURN, early * _RETURN) if early > 0 else early * _GIVE_WAY

    def advance(self, now: float) -> None:
        """Go on to the next beat."""
        self.due = max(self.due + BLOCK_SECONDS, now - MAX_CATCH_UP)
