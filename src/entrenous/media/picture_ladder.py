"""The ladder of picture sizes and frame rates that a stream climbs and descends: pure, driven by `now`.

Each rung costs a bit rate to look good and time to encode. The stream stands on the highest rung whose rate the
network gives, which the encoder keeps to, and whose pictures the processor encodes in time. It goes down at once when
either is clearly short, and up again after a while, because a change of size costs a key frame and is seen.

Camera pictures become smaller before they become fewer; a shared screen keeps its size, so that text stays sharp, and
comes less often.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .codecs.base import Content, VideoCodec

BITS_PER_PIXEL = {VideoCodec.VP8: 0.030, VideoCodec.VP9: 0.025, VideoCodec.H264: 0.035}
"""Bits of each pixel of each picture below which the next smaller size looks better at the same rate.

Measured on two clips of talking people at 320x180 to 1280x720 and 80 to 1300 kbit/s, by SSIM against the original
size: the lines of neighbouring sizes cross between 0.026 and 0.047 (VP8), 0.019 and 0.029 (VP9), 0.03 and 0.045 (H264).
"""

SCREEN_SHARE = 0.5
"""Of these bits is enough for a screen, most of which does not change from picture to picture."""

FEWER_PICTURES = 0.7
"""Power of the frame rate by which the rate falls: pictures further apart differ more. Half as many take 0.62."""

USUAL_FPS = 30.0
"""Pictures a second that `BITS_PER_PIXEL` was measured at."""

LEAST_LINES = 144
"""Lines (or columns, if fewer) of the smallest picture; smaller sources keep their size."""

UP_MARGIN = 1.15
"""Times its rate that must be there for a rung before it is climbed to."""

DOWN_MARGIN = 0.85
"""Of its rate that must be there to stay on a rung: a little less than it takes looks better than changing."""

DOWN_HOLD = 0.5
"""Seconds that the rate must be short before a rung is left; a rate under half of what it takes is believed at once."""

UP_HOLD = 1.0
"""Seconds that the rate must be there before the stream climbs, which also lie between two climbs."""

OVERUSE = 0.75
"""Of the time between pictures that encoding may take before the processor counts as overused."""

OVERUSE_HOLD = 1.0
"""Seconds of it before a rung is left: a busy moment of the machine is none."""

SPARE = 0.5
"""Of the time between pictures that the next rung would take at most, to be climbed after an overuse."""

FIRST_RETRY = 10.0
"""Seconds after an overuse before more is tried; twice as long after each further one."""

LONGEST_RETRY = 120.0
"""Seconds between such attempts at most."""

MOST_EXCESS = 1.0
"""Seconds of its rate that an encoder may have gone beyond it before a rung is left: a key frame takes a third of one,
and what follows it makes up for that."""

EXCESS_MEMORY = 30.0
"""Seconds for which a rung counts as costing what its encoder has made of it: then other things may be seen."""

ENCODE_MEMORY = 0.5
"""Seconds over which the time that encoding takes is averaged."""

_CAMERA_STEPS = (
    (1, 1),
    (3 / 4, 1),
    (1 / 2, 1),
    (3 / 8, 1),
    (3 / 8, 2 / 3),
    (1 / 4, 2 / 3),
    (1 / 4, 1 / 2),
    (3 / 16, 1 / 2),
)
_LEAST_CAMERA_FPS = 10.0
_SCREEN_FPS = (30.0, 20.0, 15.0, 10.0, 7.0, 5.0)
_SCREEN_SCALES = (3 / 4, 1 / 2, 3 / 8)


@dataclass(frozen=True, slots=True)
class PictureSize:
    """How large pictures are and how often they come.

    Args:
        width: pixels.
        height: pixels.
        fps: pictures a second.
    """

    width: int
    height: int
    fps: float

    @property
    def pixels(self) -> int:
        """Of one picture."""
        return self.width * self.height

    def within(self, most: PictureSize) -> PictureSize:
        """The same reduced to what fits into `most` without distortion, in even numbers of pixels."""
        scale = min(1.0, most.width / self.width, most.height / self.height)
        if scale == 1.0:
            return PictureSize(self.width, self.height, min(self.fps, most.fps))
        width, height = (max(2, 2 * round(side * scale / 2)) for side in (self.width, self.height))
        return PictureSize(width, height, min(self.fps, most.fps))


class PictureLadder:
    """Chooses the size and the frame rate of one stream.

    Args:
        codec: that encodes; see `codec`.
        content: what the pictures show.
    """

    def __init__(self, codec: VideoCodec, content: Content) -> None:
        self.codec = codec
        """May be changed while the stream runs: rungs then cost what they cost with it."""
        self._content = content
        self._source: PictureSize | None = None
        self._rungs: list[PictureSize] = []
        self._at = 0
        self._short_since: float | None = None
        self._ample_since: float | None = None
        self._overused_since: float | None = None
        self._excess = self._excess_over = self._excess_bits = 0.0
        self._costs: dict[PictureSize, tuple[float, float]] = {}
        self._encode_seconds: float | None = None
        self._encoded_at = 0.0
        self._busy_until = -math.inf
        self._retry = FIRST_RETRY

    @property
    def encoder_limited(self) -> bool:
        """Whether the processor was overused and holds the stream down: a codec of less work would help."""
        return self._busy_until > -math.inf

    def update(self, now: float, rate: float, encode_seconds: float | None, source: PictureSize) -> PictureSize:
        """The size and the frame rate to encode from now on.

        Args:
            now: monotonic seconds.
            rate: bits a second that the stream may send.
            encode_seconds: that the last picture took to scale and encode, None when there is no new one.
            source: what the source gives.

        Returns:
            A size of the shape of the source and never larger, with even sides; at most its frame rate.
        """
        if source != self._source:
            self._source, self._rungs = source, rungs_of(source, self._content)
            self._costs.clear()
            self._at = self._affordable(rate, 1.0)
            self._forget_rung()
            return self._rungs[self._at]
        self._measure(now, encode_seconds)
        before = self._at
        self._forget_costs(now)
        if not (self._descend_for_rate(now, rate) or self._descend_for_excess(now) or self._relieve_encoder(now)):
            self._climb(now, rate)
        if self._at != before:
            self._forget_rung()
        return self._rungs[self._at]

    def encoded(self, size: int, bitrate: float) -> None:
        """Note what the encoder has made of a picture of this rung.

        Args:
            size: bytes.
            bitrate: bits a second that it was to keep to.
        """
        if not self._rungs:
            return
        interval = 1.0 / self._rungs[self._at].fps
        self._excess += size * 8 / bitrate - interval
        self._excess_bits += size * 8
        self._excess_over += interval
        if self._excess <= 0.0:
            self._excess = self._excess_over = self._excess_bits = 0.0

    def demand(self, size: PictureSize) -> float:
        """Bits a second that a size takes: to look good, or, where that is more, at least."""
        cost, _ = self._costs.get(size, (0.0, 0.0))
        return max(cost, self._good(size))

    def _good(self, size: PictureSize) -> float:
        share = SCREEN_SHARE if self._content is Content.SCREEN else 1.0
        pictures = USUAL_FPS * math.pow(size.fps / USUAL_FPS, FEWER_PICTURES)
        return BITS_PER_PIXEL[self.codec] * share * size.pixels * pictures

    def _forget_rung(self) -> None:
        """What was observed on one rung says nothing about another."""
        self._short_since = self._ample_since = self._overused_since = self._encode_seconds = None
        self._excess = self._excess_over = self._excess_bits = 0.0

    def _forget_costs(self, now: float) -> None:
        if self._costs:
            self._costs = {size: known for size, known in self._costs.items() if now < known[1]}

    def _descend_for_excess(self, now: float) -> bool:
        """Leave a rung on which the encoder does not keep to its rate; it counts as costing what it took."""
        if self._excess <= MOST_EXCESS or self._at == len(self._rungs) - 1:
            return False
        self._costs[self._rungs[self._at]] = (self._excess_bits / self._excess_over, now + EXCESS_MEMORY)
        self._at += 1
        return True

    def _affordable(self, rate: float, margin: float) -> int:
        """The highest rung that a rate is enough for; the lowest where it is for none."""
        for index, rung in enumerate(self._rungs):
            if self.demand(rung) * margin <= rate:
                return index
        return len(self._rungs) - 1

    def _measure(self, now: float, encode_seconds: float | None) -> None:
        if encode_seconds is None:
            return
        if self._encode_seconds is None:
            self._encode_seconds = encode_seconds
        else:
            weight = 1 - math.exp(-max(0.0, now - self._encoded_at) / ENCODE_MEMORY)
            self._encode_seconds += weight * (encode_seconds - self._encode_seconds)
        self._encoded_at = now

    def _relieve_encoder(self, now: float) -> bool:
        """Whether the encoder is overused, which forbids climbing; after a while of it, a rung is left."""
        usage = 0.0 if self._encode_seconds is None else self._encode_seconds * self._rungs[self._at].fps
        if usage <= OVERUSE:
            self._overused_since = None
            if self._at == 0 and now >= self._busy_until + self._retry:
                self._busy_until, self._retry = -math.inf, FIRST_RETRY
            return False
        if self._overused_since is None:
            self._overused_since = now
        if now - self._overused_since >= OVERUSE_HOLD:
            if now < self._busy_until + self._retry:  # what was tried again was too much again
                self._retry = min(LONGEST_RETRY, 2 * self._retry)
            self._busy_until = now + self._retry
            self._overused_since = now
            self._at = min(self._at + 1, len(self._rungs) - 1)
        return True

    def _descend_for_rate(self, now: float, rate: float) -> bool:
        wanted = self.demand(self._rungs[self._at])
        if rate >= DOWN_MARGIN * wanted:
            self._short_since = None
            return False
        if self._short_since is None:
            self._short_since = now
        if rate >= wanted / 2 and now - self._short_since < DOWN_HOLD:
            return False
        lower = max(self._at, self._affordable(rate, 1.0))
        changed, self._at = lower != self._at, lower
        return changed

    def _climb(self, now: float, rate: float) -> None:
        higher = min(self._at, self._affordable(rate, UP_MARGIN))
        if self.encoder_limited:
            higher = max(higher, self._at - 1)
        if higher == self._at or not self._has_time(now, self._rungs[higher]):
            self._ample_since = None
            return
        if self._ample_since is None:
            self._ample_since = now
        if now - self._ample_since >= UP_HOLD:
            self._at = higher

    def _has_time(self, now: float, higher: PictureSize) -> bool:
        """Whether the encoder would keep up on a higher rung, as far as one can tell from this one."""
        if not self.encoder_limited:
            return True
        if now < self._busy_until or self._encode_seconds is None:
            return False
        here = self._rungs[self._at]
        return self._encode_seconds * (higher.pixels / here.pixels) * higher.fps <= SPARE


def rungs_of(source: PictureSize, content: Content) -> list[PictureSize]:
    """The sizes and frame rates that a source may be sent in, the best first; each costs less than the one before."""
    match content:
        case Content.CAMERA:
            steps = [
                (scale, max(min(source.fps, _LEAST_CAMERA_FPS), source.fps * share)) for scale, share in _CAMERA_STEPS
            ]
        case Content.SCREEN:
            slower = [fps for fps in _SCREEN_FPS if fps < source.fps]
            least = slower[-1] if slower else source.fps
            steps = [(1, fps) for fps in (source.fps, *slower)] + [(scale, least) for scale in _SCREEN_SCALES]
    least_scale = min(1.0, LEAST_LINES / min(source.width, source.height))
    rungs: list[PictureSize] = []
    for wanted, fps in steps:
        scale = max(wanted, least_scale)
        rung = PictureSize(_even(source.width * scale), _even(source.height * scale), fps)
        if rung not in rungs:
            rungs.append(rung)
    return rungs


def _even(length: float) -> int:
    """The even number of pixels nearest to a length, never more than it if that is at least 2."""
    return max(2, math.floor(length / 2 + 1e-6) * 2)
