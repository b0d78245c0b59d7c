"""When packets of sound leave (pure): on a beat of its own, which drifts after the source and hides its jitter.

A sound card or a file hands its blocks over in its own time, early and late by some milliseconds or two at once. If
packets left as they come, the network would see that, and the peer's buffer would have to be as deep. So each block
waits for its beat, and the beat settles where the latest blocks are still in time: it gives way quickly to one that is
late and comes back slowly.
"""

from __future__ import annotations

import math

from .codecs.base import BLOCK_SECONDS

MARGIN = 0.002
"""Seconds that the latest blocks are to be early."""

MAX_RETURN = 0.0005
"""Seconds by which one beat may come earlier than a block after the last: 2.5 %, more than any clock drifts."""

HELD_UP = 0.005
"""Seconds of lateness of its own turn from which a beat is no measure of the source, which has had no turn either."""

MAX_CATCH_UP = 0.200
"""Seconds of beats that follow at once after the process was held up; what is older is left out, by sources too."""

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

    def catch_up(self, now: float) -> int:
        """Leave out what is too far past at monotonic time `now`.

        Returns:
            How many beats: none, or two and more, which is what packets can tell from a clock that drifts.
        """
        late = now - self.due
        if late <= MAX_CATCH_UP + BLOCK_SECONDS:
            return 0
        return self._leave_out(math.ceil((late - MAX_CATCH_UP) / BLOCK_SECONDS))

    def reach(self, earliest: float) -> int:
        """Leave out the beats before the one of a block that cannot be expected before: its source has none for them.

        Returns:
            How many beats.
        """
        return self._leave_out(max(0, math.floor((earliest - self.due) / BLOCK_SECONDS)))

    def follow(self, arrived_at: float, awake_at: float) -> None:
        """Move after the source.

        Args:
            arrived_at: when the block of this beat had come, monotonic seconds.
            awake_at: when this beat had its turn: by what came before nothing was held up, however late that was.
        """
        early = self.due - arrived_at - MARGIN
        if early > 0:
            self.due -= min(MAX_RETURN, early * _RETURN)
        else:
            expected_at = awake_at if awake_at - self.due > HELD_UP else self.due - MARGIN
            self.due += max(0.0, arrived_at - expected_at) * _GIVE_WAY

    def advance(self) -> None:
        """Go on to the next beat."""
        self.due += BLOCK_SECONDS

    def _leave_out(self, beats: int) -> int:
        self.due += beats * BLOCK_SECONDS
        return beats
