"""How often each pair is checked, and how many checks go out in all (pure)."""

from __future__ import annotations

from .pairs import Pair

CHECK_SPACING, NEW_CHECK_SPACING = 0.005, 0.02
"""Seconds between checks of pairs that were ever answered, and of others (RFC 8445 §14.2: not below 5 ms)."""

DOUBT_INTERVAL = 0.2
"""Seconds between checks of every pair while the one in use is doubted."""

STRONG_DOUBT, WEAK_DOUBT = 2, 4
"""Lost checks that condemn the pair in use: when media has stopped on it, and when there is less against it."""

UPGRADE_STREAK = 3
"""Checks in a row that a better pair has to answer before it is moved to."""

_BURST = 0.1
"""Seconds of spacing that may be saved up: five checks of new pairs at once."""

_RETRY, _MAX_RETRY = 0.08, 0.2
_CONFIRM_INTERVAL = 0.1
_CONSENT_INTERVAL, _WARM_INTERVAL, _OTHER_INTERVAL = 2.5, 4.0, 10.0
_DOUBT_BURST_INTERVAL, _TIRED_INTERVAL, _TIRED_AFTER = 0.05, 1.0, 10.0
_STREAK_INTERVAL, _FIRST_TRY_INTERVAL = 0.2, 0.25


class Schedule:
    """Intervals and pacing of one leg.

    Args:
        seed: anything in 0..1; spreads the regular checks of many legs.
    """

    def __init__(self, seed: float) -> None:
        self.next_slot = 0.0
        """When the next check may go out."""
        self._spread = seed

    def takes(self, pair: Pair, now: float) -> bool:
        """Whether a check of this pair may go out now; when it may, it is counted."""
        self.next_slot = max(self.next_slot, now - _BURST)
        if self.next_slot > now:
            return False
        self.next_slot += CHECK_SPACING if pair.was_answered else NEW_CHECK_SPACING
        return True

    def connecting(self, pair: Pair) -> float:
        """Seconds to the next check while no pair works yet: short, since checks get lost like everything else."""
        return _backoff(_RETRY, pair.tries, _MAX_RETRY)

    def in_doubt(self, pair: Pair, lasted: float, *, is_used: bool) -> float:
        """The same while the pair in use is doubted, for `lasted` seconds now."""
        if is_used and pair.tries <= WEAK_DOUBT:
            return _DOUBT_BURST_INTERVAL
        return _TIRED_INTERVAL if lasted > _TIRED_AFTER and not pair.was_answered else DOUBT_INTERVAL

    def in_use(self, pair: Pair, moved_at: float) -> float:
        """The same for the pair in use, until the peer has confirmed the move and after (RFC 7675 §5.1)."""
        return _CONFIRM_INTERVAL if pair.proven_by < moved_at else _CONSENT_INTERVAL * self._varied()

    def in_reserve(self, pair: Pair, *, is_better: bool, is_warm: bool) -> float:
        """The same for another pair: one that would be better, the one to fall back to, or any other."""
        if is_better:
            if 0 < pair.streak < UPGRADE_STREAK:
                return _STREAK_INTERVAL
            return _backoff(_FIRST_TRY_INTERVAL, pair.tries, _WARM_INTERVAL) * self._varied()
        if is_warm:
            return (_STREAK_INTERVAL if 0 < pair.tries < WEAK_DOUBT else _WARM_INTERVAL) * self._varied()
        if pair.was_answered:
            return _OTHER_INTERVAL * self._varied()
        return _backoff(2 * _FIRST_TRY_INTERVAL, pair.tries, _OTHER_INTERVAL) * self._varied()

    def _varied(self) -> float:
        # Steps of the golden ratio fill the range evenly.
        self._spread = (self._spread + 0.618) % 1.0
        return 0.8 + 0.4 * self._spread


def _backoff(first: float, tries: int, most: float) -> float:
    return min(most, first * 1.5 ** min(tries, 16))
