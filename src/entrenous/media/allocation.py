"""How the rate of a session is divided between its streams (pure).

Sound comes first, up to all that it can use: it is small, and a call is lost with it. What remains goes to the
pictures: each gets its minimum, the screen before the camera since it is what a person shows on purpose, and the rest
by weight, until each has all that it can use. A picture whose minimum does not fit gets nothing: frames that arrive
seconds late help nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .streams import StreamKind

RETURN_MARGIN = 1.2
"""Times its minimum that must be there for a paused picture before it is sent again: it must not flicker."""

_BY_PRECEDENCE = (StreamKind.SCREEN, StreamKind.VIDEO)


@dataclass(frozen=True, slots=True)
class Demand:
    """What one stream can use, in bits a second on the wire with all headers.

    Args:
        minimum: below which it is of no use.
        maximum: beyond which it gets no better.
        weight: its share of what is left, against that of the others.
    """

    minimum: int
    maximum: int
    weight: float = 1.0


class Allocator:
    """Divides a rate, and remembers which pictures are paused."""

    def __init__(self) -> None:
        self._paused: set[StreamKind] = set()

    def divide(self, total: float, demands: Mapping[StreamKind, Demand]) -> dict[StreamKind, int]:
        """The rate of each stream, bits a second: together at most `total`, except that sound gets its minimum always.

        Args:
            total: bits a second that the path carries.
            demands: of the streams that are sent now.
        """
        rates = dict.fromkeys(demands, 0)
        left = total
        sound = demands.get(StreamKind.AUDIO)
        if sound is not None:
            rates[StreamKind.AUDIO] = round(max(sound.minimum, min(sound.maximum, left)))
            left -= rates[StreamKind.AUDIO]
        pictures = [kind for kind in _BY_PRECEDENCE if kind in demands]
        self._paused &= set(pictures)
        shown: dict[StreamKind, float] = {}
        for kind in pictures:
            needed = demands[kind].minimum * (RETURN_MARGIN if kind in self._paused else 1.0)
            if needed <= left:
                self._paused.discard(kind)
                shown[kind] = demands[kind].minimum
                left -= shown[kind]
            else:
                self._paused.add(kind)
        for kind, rate in _fill(shown, left, demands).items():
            rates[kind] = int(rate)
        return rates


def _fill(
    shares: Mapping[StreamKind, float], left: float, demands: Mapping[StreamKind, Demand]
) -> dict[StreamKind, float]:
    """Raise the shares, the one lowest for its weight first, until nothing is left or all have their maximum."""
    filled = dict(shares)
    growing = {kind for kind in filled if filled[kind] < demands[kind].maximum}
    while growing and left >= 1.0:
        # The lowest rise together to the level of the next one, or of the first that has enough.
        level = min(filled[kind] / demands[kind].weight for kind in growing)
        lowest = [kind for kind in growing if filled[kind] / demands[kind].weight <= level * (1 + 1e-9)]
        higher = [filled[kind] / demands[kind].weight for kind in growing if kind not in lowest]
        weight = sum(demands[kind].weight for kind in lowest)
        target = min(
            [level + left / weight, *higher, *(demands[kind].maximum / demands[kind].weight for kind in lowest)]
        )
        for kind in lowest:
            left -= target * demands[kind].weight - filled[kind]
            filled[kind] = target * demands[kind].weight
        growing = {kind for kind in growing if filled[kind] < demands[kind].maximum * (1 - 1e-9)}
    return filled
