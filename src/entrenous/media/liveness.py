"""Does the peer still reach us? Judged by RTP and RTCP, not by ICE (pure, driven by `now`)."""

from __future__ import annotations

from enum import Enum, auto
from typing import assert_never

from .events import Flowing, Stalled, Suspect


class _State(Enum):
    WAITING = auto()
    FLOWING = auto()
    SUSPECT = auto()
    STALLED = auto()


FIRST_PACKET_GRACE = 5.0
"""Seconds that the first packet of a leg may take: the peer opens its gate only when our accept has reached it."""


class Liveness:
    """Watches the packets of the leg in use.

    Args:
        suspect_after: seconds of silence.
        stalled_after: seconds of silence, more than `suspect_after`.
        grace: seconds for the first packet of the call; of a later leg it takes no longer than twice a stall, since
            the gate of the peer is open.
    """

    def __init__(self, suspect_after: float, stalled_after: float, grace: float = FIRST_PACKET_GRACE) -> None:
        self._suspect_after = suspect_after
        self._stalled_after = stalled_after
        self._grace = grace
        self._state = _State.WAITING
        self._since: float | None = None

    def restart(self, now: float) -> None:
        """A leg is in use from now on; whatever the last one did is forgotten."""
        self._state = _State.WAITING
        self._since = now

    def heard(self, now: float) -> Flowing | None:
        """A packet of the peer arrived; the event when that is news."""
        self._since = now
        self._grace = min(self._grace, 2 * self._stalled_after)
        if self._state is _State.FLOWING:
            return None
        self._state = _State.FLOWING
        return Flowing(now)

    def poll(self, now: float) -> Suspect | Stalled | None:
        """What the silence up to `now` means, once for each stage of it."""
        if self._since is None:
            return None
        silent = now - self._since
        match self._state:
            case _State.WAITING:
                return self._to(_State.STALLED, now) if silent >= self._grace else None
            case _State.FLOWING | _State.SUSPECT if silent >= self._stalled_after:
                return self._to(_State.STALLED, now)
            case _State.FLOWING:
                return self._to(_State.SUSPECT, now) if silent >= self._suspect_after else None
            case _State.SUSPECT | _State.STALLED:
                return None
            case _ as never:
                assert_never(never)

    def _to(self, state: _State, now: float) -> Suspect | Stalled:
        self._state = state
        return Stalled(now) if state is _State.STALLED else Suspect(now)
