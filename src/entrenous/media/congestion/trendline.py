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
        self._points: deque[tuple[float, float]] = deque(maxlen=WINDOW)
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
        self._points.append(((step.at - self._first_at) * 1000.0, self._smoothed))
        self._deltas = min(self._deltas + 1, _MAX_DELTAS)
        before = self.slope
        if len(self._points) == WINDOW:
            self.slope = _slope(self._points, before)
        self._judge(step.sent * 1000.0, before)
        return self.usage

    def _judge(self, sent_ms: float, slope_before: float) -> None:
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
        self._adapt(abs(trend))

    def _adapt(self, trend: float) -> None:
        at = self._points[-1][0]
        before, self._adapted_at = self._adapted_at, at
        if before is None or trend > self.threshold + _MAX_EXCESS:
            return
        gain = _THRESHOLD_DOWN if trend < self.threshold else _THRESHOLD_UP
        passed = min(max(0.0, at - before), _MAX_ADAPTATION_MS)
        low, high = _THRESHOLDS
        self.threshold = max(low, min(high, self.threshold + gain * (trend - self.threshold) * passed))


def _slope(points: deque[tuple[float, float]], fallback: float) -> float:
    """The slope of the least-squares line; the fallback when all points have one abscissa."""
    count = len(points)
    origin = points[0][0]
    sum_x = sum_y = sum_xx = sum_xy = 0.0
    for at, y in points:  # one pass: this runs for each group of packets
        x = at - origin
        sum_x += x
        sum_y += y
        sum_xx += x * x
        sum_xy += x * y
    spread = sum_xx - sum_x * sum_x / count
    return (sum_xy - sum_x * sum_y / count) / spread if spread > 0.0 else fallback
