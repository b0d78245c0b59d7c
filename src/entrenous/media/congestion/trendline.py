"""Whether a queue builds up on the path: the slope of delay over time, against a threshold that adapts (pure).

The delays of groups are added up, smoothed, and fitted with a line over the last groups: its slope is how much of
each second goes into a queue. The threshold rises when slopes exceed it often, so that a flow that competes with
others that fill queues is not starved by them (draft-ietf-rmcat-gcc-02 §5.4, §5.5).
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto

from .groups import Step

WINDOW = 20
"""Groups that the line is fitted to."""

_SMOOTHING = 0.9
_GAIN = 4.0
_MAX_DELTAS = 60
"""Deltas up to which the slope counts for more the more of them there are."""

_FIRST_THRESHOLD = 12.5
_THRESHOLDS = (6.0, 600.0)
_THRESHOLD_UP = 0.0087
_THRESHOLD_DOWN = 0.039
_MAX_EXCESS = 15.0
"""Beyond the threshold by more than this a slope is an outlier, to which it is not adapted."""
_MAX_ADAPTATION_MS = 100.0
_SUMS_KEPT = 64
_LEAST_SPREAD = 1e-6
_LEAST_OVERUSE_MS = 10.0
"""Milliseconds of sending over which the slope has to exceed the threshold."""


class Usage(Enum):
    """What the slope says about the path."""

    NORMAL = auto()
    OVERUSED = auto()
    UNDERUSED = auto()


class Trendline:
    """Follows the delay of one path."""

    def __init__(self) -> None:
        self.usage = Usage.NORMAL
        self.threshold = _FIRST_THRESHOLD
        self.slope = 0.0
        """Seconds of queue that each second adds, negative when a queue drains."""
        self._line = _Line()
        self._deltas = 0
        self._accumulated = 0.0
        self._smoothed = 0.0
        self._first_at: float | None = None
        self._adapted_at: float | None = None
        self._over_ms = 0.0
        self._over_count = 0

    def add(self, step: Step) -> Usage:
        """Take the step to one more group; what the path looks like now."""
        if self._first_at is None:
            self._first_at = step.at
        # Milliseconds from here on: the published constants are made for them.
        self._accumulated += (step.arrived - step.sent) * 1000.0
        self._smoothed = _SMOOTHING * self._smoothed + (1.0 - _SMOOTHING) * self._accumulated
        at = (step.at - self._first_at) * 1000.0
        self._line.add(at, self._smoothed)
        self._deltas = min(self._deltas + 1, _MAX_DELTAS)
        before = self.slope
        slope = self._line.slope()
        if slope is not None:
            self.slope = slope
        self._judge(at, step.sent * 1000.0, before)
        return self.usage

    def _judge(self, at: float, sent_ms: float, slope_before: float) -> None:
        if self._deltas < 2:
            return
        trend = self._deltas * self.slope * _GAIN
        if trend > self.threshold:
            self._over_ms += sent_ms if self._over_count else sent_ms / 2
            self._over_count += 1
            if self._over_ms > _LEAST_OVERUSE_MS and self._over_count > 1 and self.slope >= slope_before:
                self._over_ms, self._over_count = 0.0, 0
                self.usage = Usage.OVERUSED
        else:
            self._over_ms, self._over_count = 0.0, 0
            self.usage = Usage.UNDERUSED if trend < -self.threshold else Usage.NORMAL
        self._adapt(at, abs(trend))

    def _adapt(self, at: float, trend: float) -> None:
        before, self._adapted_at = self._adapted_at, at
        if before is None or trend > self.threshold + _MAX_EXCESS:
            return
        gain = _THRESHOLD_DOWN if trend < self.threshold else _THRESHOLD_UP
        passed = min(max(0.0, at - before), _MAX_ADAPTATION_MS)
        low, high = _THRESHOLDS
        self.threshold = max(low, min(high, self.threshold + gain * (trend - self.threshold) * passed))


class _Line:
    """The least-squares line through the last points, from sums that are kept along: it is asked for each group."""

    __slots__ = ("_added", "_origin", "_points", "_x", "_xx", "_xy", "_y")

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque()
        self._added = 0
        self._origin = 0.0
        self._x = self._y = self._xx = self._xy = 0.0

    def add(self, at: float, y: float) -> None:
        """Take one more point, instead of the oldest when there are enough."""
        if len(self._points) == WINDOW:
            self._count(*self._points.popleft(), -1.0)
        self._points.append((at, y))
        self._added += 1
        if self._added % _SUMS_KEPT == 1:
            # Anew from time to time, so that errors of rounding do not add up.
            self._origin = self._points[0][0]
            self._x = self._y = self._xx = self._xy = 0.0
            for point in self._points:
                self._count(*point, 1.0)
        else:
            self._count(at, y, 1.0)

    def _count(self, at: float, y: float, sign: float) -> None:
        x = at - self._origin
        self._x += sign * x
        self._y += sign * y
        self._xx += sign * x * x
        self._xy += sign * x * y

    def slope(self) -> float | None:
        """The slope, None while points are few or all have one abscissa."""
        if len(self._points) < WINDOW:
            return None
        spread = self._xx - self._x * self._x / WINDOW
        return (self._xy - self._x * self._y / WINDOW) / spread if spread > _LEAST_SPREAD else None
