"""How fast pictures are captured, and thinning them out evenly to a frame rate (pure)."""

from __future__ import annotations

_EARLY = 0.2
"""The share of an interval by which a picture may come early: cameras are not exact."""

USUAL_RATES = (1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 12.0, 15.0, 20.0, 24.0, 25.0, 30.0, 50.0, 60.0)
"""Pictures a second that cameras, screens and files have."""

_TOLERANCE = 0.15
"""The share by which the measured rate is off the one in name before that changes."""

_LEAST_INTERVALS, _INTERVALS = 5, 60
"""Intervals after which the rate is believed for the first time, and over which it is averaged from then on."""

_LONGEST_INTERVAL = 1.5
"""Seconds between pictures beyond which it is a pause."""


class FrameRateLimit:
    """Says of each picture whether it is sent, so that those that are lie as evenly as the captured ones allow.

    Args:
        fps: pictures a second that are taken at most.
    """

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self._due: float | None = None

    def takes(self, captured_at: float) -> bool:
        """Whether a picture captured at this monotonic time is sent."""
        interval = 1.0 / self.fps
        if self._due is not None and captured_at < self._due - _EARLY * interval:
            return False
        # The beat goes on from where it was; after a pause it begins anew.
        on_beat = self._due is not None and captured_at < self._due + interval
        self._due = (self._due if on_beat and self._due is not None else captured_at) + interval
        return True


class CaptureRate:
    """The frame rate that a source has in name, from when its pictures were captured.

    It is one of `USUAL_RATES` and seldom changes: what depends on it is not to follow each uneven moment of a camera.
    """

    def __init__(self) -> None:
        self.fps = 30.0
        """Pictures a second; the most usual rate until it is known."""
        self._last: float | None = None
        self._interval = 0.0
        self._measured = 0

    def captured(self, at: float) -> None:
        """Note a picture that was captured at this monotonic time."""
        interval = at - self._last if self._last is not None else 0.0
        self._last = at
        if not 0.0 < interval < _LONGEST_INTERVAL:
            return  # the first one, or one after a pause
        self._measured += 1
        self._interval += (interval - self._interval) / min(self._measured, _INTERVALS)
        if self._measured >= _LEAST_INTERVALS and abs(1.0 / self._interval - self.fps) > _TOLERANCE * self.fps:
            self.fps = min(USUAL_RATES, key=lambda rate: abs(1.0 / self._interval - rate))
