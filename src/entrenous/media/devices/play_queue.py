"""What waits for the speaker: as little as the two sides' unevenness allows, whatever their clocks do. Pure.

The call writes 20 ms at a time by the computer's clock, the sound card takes 10 ms at a time by its own, and neither
is punctual. What counts is the *slack*: what still waits when the next block is written, less what the sound card has
played since its last turn, the least of it within two seconds. (Without that part a clock that drifts would not be
seen until a whole turn is missing.) Below zero the speaker runs dry, and all that is above the margin is delay for
nothing. The slack is steered to the margin by playing up to half a percent faster or slower, which nobody hears and
which follows clocks that drift apart for as long as they do. The margin grows when the speaker ran dry and slowly
shrinks again.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..codecs.base import BLOCK_SAMPLES, SAMPLE_RATE, Samples
from ..resampler import Resampler, rounded

TURN_SAMPLES: Final = SAMPLE_RATE // 100
"""Samples of a turn: 10 ms."""

_MILLISECOND: Final = SAMPLE_RATE // 1000
_FIRST_MARGIN: Final = 5 * _MILLISECOND
_LEAST_MARGIN: Final = 3 * _MILLISECOND
_GREATEST_MARGIN: Final = 80 * _MILLISECOND
_GROWTH: Final = 10 * _MILLISECOND
"""By which the margin grows each time that the speaker ran dry, once it has played for two seconds: until then sound
servers are busy with beginning."""

_WINDOW: Final = 100
"""Blocks over which the slack is taken: 2 s."""

_CALM: Final = 10
"""Windows without running dry after which the margin shrinks by a millisecond in every further one."""

_GREATEST_CHANGE: Final = 0.005
"""Of speed: a twelfth of a semitone."""

_TOLERANCE: Final = 2 * _MILLISECOND
"""By which the slack may be off without anything being done: blocks come with this much unevenness anyway."""

_CAPACITY: Final = 6 * BLOCK_SAMPLES
"""Samples that wait at most: a burst never adds more than 120 ms."""

_LIMIT: Final = 2 * _CAPACITY
"""Samples that wait at most when the sound card does not ask for any."""

_SHORTENING: Final = 15 * _MILLISECOND
"""Of slack above the margin from which the surplus is left out as soon as it is quiet."""

_QUIET: Final = 200.0
"""Root mean square, of 32,768, below which nobody hears that something is left out: -44 dB."""

_PAUSE: Final = 0.2
"""Seconds without anything written after which nothing is expected: the call is on hold or has ended."""

_LONGEST_BURST: Final = 0.040
"""Seconds between two turns up to which the sound card is taken to play on; beyond, it has stood still."""


class PlayQueue:
    """Blocks of the call in, turns of the sound card out.

    Attributes:
        underruns: times it ran dry while the call went on.
        dropped: samples left out because more waited than it holds.
        margin: samples that it wants to have left over at the least.
    """

    def __init__(self) -> None:
        self.underruns = 0
        self.dropped = 0
        self.margin = _FIRST_MARGIN
        self._resampler = Resampler()
        self._is_playing = False
        self._hold: int | None = None
        """Samples of silence to give before the first of what waits; None until the first turn says how many."""
        self._shortens = False
        self._pulled_at = 0.0
        self._written_at = 0.0
        self._dry_since: float | None = None
        self._least = _CAPACITY
        self._blocks = 0
        self._written = 0
        self._calm = 0

    @property
    def waiting(self) -> int:
        """Samples that wait to be played."""
        return self._resampler.waiting

    @property
    def speed(self) -> float:
        """How fast it plays, 1 for as it is written."""
        return self._resampler.step

    def write(self, block: Samples, now: float) -> None:
        """Append samples, shape (n,), at monotonic time `now`."""
        if self._is_playing:
            if self._hold == 0:
                self._steer(now)
        else:
            self._begin(now)
        self._resampler.push(block)
        self._written += 1
        self._written_at = now
        if self.waiting > _LIMIT:
            self._skip(self.waiting - _CAPACITY)  # nobody pulls: nothing of this is heard

    def pull(self, now: float) -> Samples:
        """The next 10 ms, shape (480,), at monotonic time `now`: silence where nothing waits."""
        stood_still = now - self._pulled_at > _LONGEST_BURST
        self._pulled_at = now
        if not self._is_playing:
            return np.zeros(TURN_SAMPLES, np.int16)
        if self._hold != 0:
            return self._pull_after_hold(now)
        if stood_still:
            self._skip(max(0, self.waiting - self.margin - BLOCK_SAMPLES))  # there was a gap anyway: no delay from it
        if self._resampler.available < TURN_SAMPLES:
            return self._run_dry(now)
        turn = self._resampler.pull(TURN_SAMPLES)
        surplus = self.waiting - self.margin - BLOCK_SAMPLES
        if self.waiting > _CAPACITY or (self._shortens and _is_quiet(turn)):
            return self._leave_out(turn, surplus)
        return rounded(turn)

    def _begin(self, now: float) -> None:
        """Play from here, the margin behind; having been dry for a moment only, it was the margin that failed."""
        if self._dry_since is not None and now - self._dry_since < _PAUSE:
            self.underruns += 1
            if self._written > _WINDOW:
                self.margin = min(self.margin + _GROWTH, _GREATEST_MARGIN)
                self._calm = 0
        self._is_playing = True
        self._hold = None
        self._shortens = False
        self._resampler.step = 1.0
        self._least, self._blocks = _CAPACITY, 0

    def _pull_after_hold(self, now: float) -> Samples:
        if self._hold is None:
            self._skip(max(0, self.waiting - BLOCK_SAMPLES))  # the sound card may have begun to ask only now
            self._hold = self.margin + max(0, TURN_SAMPLES - round((now - self._written_at) * SAMPLE_RATE))
        silent = min(self._hold, TURN_SAMPLES)
        self._hold -= silent
        turn = np.zeros(TURN_SAMPLES, np.int16)
        heard = min(TURN_SAMPLES - silent, self._resampler.available)
        turn[silent : silent + heard] = rounded(self._resampler.pull(heard))
        return turn

    def _run_dry(self, now: float) -> Samples:
        """What is left, fading out; then silence until something is written."""
        turn = np.zeros(TURN_SAMPLES, np.int16)
        left = self._resampler.available
        turn[:left] = rounded(self._resampler.pull(left) * np.linspace(1, 0, left, dtype=np.float32))
        self._is_playing = False
        self._dry_since = now
        return turn

    def _leave_out(self, turn: NDArray[np.float32], surplus: int) -> Samples:
        """Go over from this turn to sound that is later by the surplus."""
        if surplus > 0:
            self._skip(surplus)
            turn = turn + _FADE * (self._resampler.pull(TURN_SAMPLES) - turn)
        self._shortens = False
        self._least, self._blocks = _CAPACITY, 0
        return rounded(turn)

    def _skip(self, samples: int) -> None:
        self._resampler.skip(samples)
        self.dropped += samples

    def _steer(self, now: float) -> None:
        since = now - self._pulled_at
        if since < _LONGEST_BURST:
            self._least = min(self._least, self.waiting - round(since * SAMPLE_RATE))
        self._blocks += 1
        if self._blocks < _WINDOW:
            return
        surplus = self._least - self.margin
        change = surplus / (_WINDOW * BLOCK_SAMPLES) if abs(surplus) > _TOLERANCE else 0.0
        self._shortens = surplus > _SHORTENING
        self._resampler.step = 1.0 + max(-_GREATEST_CHANGE, min(_GREATEST_CHANGE, change))
        self._calm += 1
        if self._calm > _CALM:
            self.margin = max(_LEAST_MARGIN, self.margin - _MILLISECOND)
        self._least, self._blocks = _CAPACITY, 0


_FADE: NDArray[np.float32] = (0.5 - 0.5 * np.cos(np.linspace(0, np.pi, TURN_SAMPLES))).astype(np.float32)


def _is_quiet(turn: NDArray[np.float32]) -> bool:
    return float(np.mean(np.square(turn))) < _QUIET * _QUIET
