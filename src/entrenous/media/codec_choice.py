"""Which codec a stream uses from moment to moment: pure, driven by `now`.

Where bits are scarce it is the codec that makes the most of them; where the network carries the whole source anyway,
the one that costs least. At 720p30 VP9 takes 12.5 ms to encode and decode a picture, VP8 8.5; at 1 Mbit/s VP9 looks as
VP8 does at 1.4. A change costs a key frame, so it is made seldom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .codecs.base import Content, VideoCodec
from .picture_ladder import PictureLadder, PictureSize
from .video_codecs import cheaper_codec

PLENTY = 1.4
"""Times the rate at which the whole source looks good with the cheapest codec from which bits are no longer scarce."""

PLENTY_HOLD = 5.0
"""Seconds of plenty before the cheapest codec is changed to."""

SCARCE = 1.0
"""Times that rate below which they are scarce again."""

SCARCE_HOLD = 1.0
"""Seconds of scarcity before the best codec is changed to; a rate under half of what it takes is believed at once, as
the ladder does, so that size and codec change with one key frame."""

FIRST_RETRY, LONGEST_RETRY = 60.0, 960.0
"""Seconds after the encoder could not keep up before the best codec is tried again: twice as long each time."""


class CodecChoice:
    """Chooses among what both ends have.

    Args:
        usable: what this end encodes and the other decodes, the best picture for the rate first; not empty.
        content: what the pictures show. A screen always takes the best codec: its text is where the difference is seen.
    """

    def __init__(self, usable: Sequence[VideoCodec], content: Content) -> None:
        self._best = self.codec = usable[0]
        """In use; the best at first, for the rate is not known yet."""
        self._cheapest = cheaper_codec(self._best, usable) or self._best
        self._ladder = PictureLadder(self._cheapest, content)
        self._content = content
        self._otherwise_since: float | None = None
        self._retry = FIRST_RETRY
        self._retry_at = -math.inf

    def update(self, now: float, rate: float, source: PictureSize, *, encoder_limited: bool) -> VideoCodec:
        """The codec to encode with from now on.

        Args:
            now: monotonic seconds.
            rate: bits a second that the stream may send.
            source: what the source gives.
            encoder_limited: whether the encoder cannot keep up (`PictureLadder.encoder_limited`): then the cheapest it
                is, at once and for long.
        """
        if encoder_limited and self.codec is not self._cheapest:
            self._retry_at, self._retry = now + self._retry, min(LONGEST_RETRY, 2 * self._retry)
            self._use(self._cheapest)
        elif encoder_limited or now < self._retry_at:
            self._otherwise_since = None
        elif self._content is Content.SCREEN:
            self._use(self._best)
        else:
            enough = self._ladder.demand(source)
            if self.codec is self._best:
                other, wanted, hold = self._cheapest, rate >= PLENTY * enough, PLENTY_HOLD
            else:
                other, wanted = self._best, rate < SCARCE * enough
                hold = SCARCE_HOLD if rate >= SCARCE * enough / 2 else 0.0
            if not wanted:
                self._otherwise_since = None
                return self.codec
            if self._otherwise_since is None:
                self._otherwise_since = now
            if now - self._otherwise_since >= hold:
                self._use(other)
        return self.codec

    def _use(self, codec: VideoCodec) -> None:
        self.codec = codec
        self._otherwise_since = None
