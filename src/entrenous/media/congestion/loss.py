"""The rate that loss allows: less only where sending less is what makes loss less (pure).

A path loses packets for two reasons. Some are lost whatever is sent (radio); a lower rate does not help them, and a
call that gives way to them starves. Others are lost because more is sent than the path carries and it does not queue.
Both are told apart by how loss changes with the rate: for the rates and losses of the last seconds it is asked which
capacity and which loss besides explain them best, with likelihoods; a capacity is believed in only when it explains
them clearly better than none (the idea of libwebrtc's second loss-based estimator).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from .history import SentPacket

WINDOW = 0.250
LEAST_PACKETS = 20
"""Seconds and packets of one observation at least."""

OBSERVATIONS = 24
FADING = 0.92
"""How many observations are kept, and the weight of each against the next newer one."""

TOLERATED = 0.02
"""Loss up to which nothing is asked."""

INHERENT = (0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.10, 0.14, 0.20, 0.25, 0.30)
"""Losses that a path may have whatever is sent. More than that is always taken for congestion."""

CONVICTION = 4.0
"""Natural logarithm of how much more likely a capacity must make what was seen before it is believed in."""

CAUTION = 0.95
"""Share of the capacity found that is sent."""

RELEASE = 1.08
LONGEST_RISE = 1.5
"""Factor by which the bound rises with each window in which nothing speaks for it, and the seconds for which it does
with one observation at most: sound alone takes several windows for one."""

FITTED = 2
"""Parameters of a fit, a capacity and the loss besides: so many observations say nothing of how losses vary."""

ASSUMED = 3.0
ASSUMED_DISPERSION = 4.0
"""Observations made up, and how much losses vary in them: what bursts do shows only after some."""

_CANDIDATES = (0.5, 0.6, 0.7, 0.8, 0.87, 0.93, 0.97, 1.0, 1.05)


@dataclass(frozen=True, slots=True)
class _Observation:
    rate: float
    sent: int
    lost: int


class LossBound:
    """Watches loss against rate.

    `bound` is the rate in bits a second that loss allows, infinite while loss says nothing.
    """

    def __init__(self) -> None:
        self.bound = math.inf
        self.loss = 0.0
        """Share of packets lost in the last observation, 0..1."""
        self._observations: deque[_Observation] = deque(maxlen=OBSERVATIONS)
        self._began_at: float | None = None
        self._sent = 0
        self._bits = 0.0
        self._lost = 0

    def add(self, arrived: int, arrived_bytes: int, missing: list[SentPacket], late: int, now: float) -> bool:
        """Take what one feedback says.

        Args:
            arrived: packets that came, `late` ones included.
            arrived_bytes: of these.
            missing: packets called missing for the first time.
            late: packets that came after they had been called missing.
            now: monotonic seconds.

        Returns:
            Whether an observation was completed, so that the bound may have changed.
        """
        if self._began_at is None:
            self._began_at = now
        self._sent += arrived - late + len(missing)
        self._lost = max(0, self._lost + len(missing) - late)
        self._bits += 8.0 * (arrived_bytes + sum(packet.size for packet in missing))
        passed = now - self._began_at
        if passed < WINDOW or self._sent < LEAST_PACKETS:
            return False
        self._observations.append(_Observation(self._bits / passed, self._sent, min(self._sent, self._lost)))
        self.loss = min(1.0, self._lost / self._sent)
        self._began_at, self._sent, self._lost, self._bits = now, 0, 0, 0.0
        self._judge(passed)
        return True

    def _judge(self, passed: float) -> None:
        seen = list(self._observations)
        total = sum(each.lost for each in seen) / sum(each.sent for each in seen)
        if self.loss <= TOLERATED and total <= 2 * TOLERATED:
            self._release(passed)
            return
        capacity = self._capacity(seen)
        if capacity is None:
            self._release(passed)
        else:
            self.bound = min(self.bound * _rise(passed), CAUTION * capacity)

    def _release(self, passed: float) -> None:
        if self.bound < math.inf:
            self.bound *= _rise(passed)
            if self.bound > 2.0 * max(each.rate for each in self._observations):
                self.bound = math.inf

    def _capacity(self, seen: list[_Observation]) -> float | None:
        """The capacity that explains what was seen, None when none does so clearly better than its absence."""
        delivered = max(each.rate * (1.0 - each.lost / each.sent) for each in seen[-4:])
        capacities = [*(share * delivered for share in _CANDIDATES), math.inf]
        fits = _fits(seen, capacities)
        best = max(range(len(_CANDIDATES)), key=lambda place: fits[place].likelihood)
        gain = fits[best].likelihood - fits[-1].likelihood
        return capacities[best] if gain > CONVICTION * fits[best].dispersion else None


def _rise(passed: float) -> float:
    """The factor by which the bound rises with an observation of `passed` seconds."""
    return math.pow(RELEASE, min(passed, LONGEST_RISE) / WINDOW)


@dataclass(frozen=True, slots=True)
class _Fit:
    """How well one capacity explains what was seen, with the inherent loss that suits it best.

    Args:
        likelihood: its logarithm, as if each packet were lost for itself.
        dispersion: how much more the losses vary than they would then, at least 1: where they come in bursts, a burst
            says no more than a single loss, and all that was seen counts for so many times less (quasi-likelihood,
            Wedderburn 1974).
    """

    likelihood: float
    dispersion: float


def _fits(seen: list[_Observation], capacities: list[float]) -> list[_Fit]:
    """The fit of each capacity."""
    rates = np.array([max(1.0, each.rate) for each in seen])
    lost = np.array([each.lost for each in seen], dtype=float)
    sent = np.array([each.sent for each in seen], dtype=float)
    weights = FADING ** np.arange(len(seen) - 1, -1, -1)
    excess = np.maximum(0.0, 1.0 - np.array(capacities)[:, None, None] / rates)
    inherent = np.array(INHERENT)[None, :, None]
    loss = np.minimum(0.99, inherent + (1.0 - inherent) * excess)
    values = ((lost * np.log(loss) + (sent - lost) * np.log(1.0 - loss)) * weights).sum(axis=2)
    chosen = values.argmax(axis=1)
    rows = np.arange(len(capacities))
    expected = loss[rows, chosen]
    variation = (lost - sent * expected) ** 2 / (sent * expected * (1.0 - expected))
    varied = (variation * weights).sum(axis=1) + ASSUMED * ASSUMED_DISPERSION
    dispersion = np.maximum(1.0, varied / (max(0.0, weights.sum() - FITTED) + ASSUMED))
    return [_Fit(float(values[row, chosen[row]]), float(dispersion[row])) for row in rows]
