"""How good a conversation is, from what can be measured while it runs: the E-model (ITU-T G.107).

The model adds up what harms a call on one scale. R = 93.2 is a call without any impairment; delay takes `Id` away,
the codec and what is lost take `Ie,eff`. R becomes the mean opinion score (MOS, 1 to 4.5) by Annex B of G.107.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

CLEAN = 93.2
"""R of a call whose only impairments are the default values of G.107."""

_CODEC_IMPAIRMENT = ((12_000, 20.0), (16_000, 11.0), (20_000, 7.0), (24_000, 4.0), (32_000, 1.0), (40_000, 0.0))
"""`Ie` of Opus by bit rate. G.113 lists none for it; these place it, by its wideband scores, beside the listed codecs
of like quality, and give no credit for the band above 3.4 kHz, which this version of the model does not know."""

_ROBUSTNESS = 20.0
"""`Bpl` of a codec with concealment (G.113 Appendix I lists 10 to 34): the loss, in per cent, that halves what is left
above the worst."""

_MAXIMUM_IMPAIRMENT = 95.0


@dataclass(frozen=True, slots=True)
class Quality:
    """The quality of what one end hears.

    Args:
        r: transmission rating, 0 to 93.2.
        mos: estimated mean opinion score of a conversation, 1 to 4.5.
    """

    r: float
    mos: float


def rate_call(*, delay: float, concealed: float, bitrate: int) -> Quality:
    """Rate what is heard.

    Args:
        delay: seconds from mouth to ear.
        concealed: share of what was played that had to be made up, 0..1.
        bitrate: of Opus, bits a second.
    """
    rating = CLEAN - _delay_impairment(1000 * delay) - _loss_impairment(100 * concealed, bitrate)
    rating = min(max(rating, 0.0), CLEAN)
    return Quality(round(rating, 1), round(_opinion(rating), 2))


def _delay_impairment(milliseconds: float) -> float:
    # The approximation of G.107's Id for a call without echo: bends where people begin to talk into each other.
    return 0.024 * milliseconds + 0.11 * max(0.0, milliseconds - 177.3)


def _loss_impairment(per_cent: float, bitrate: int) -> float:
    # By G.107 with losses at random, `BurstR` of 1.
    codec = _of_codec(bitrate)
    share = per_cent / (per_cent + _ROBUSTNESS)
    return min(_MAXIMUM_IMPAIRMENT, codec + (_MAXIMUM_IMPAIRMENT - codec) * share)


def _of_codec(bitrate: int) -> float:
    rates = _CODEC_IMPAIRMENT
    if bitrate <= rates[0][0]:
        return rates[0][1]
    for (low, more), (high, less) in pairwise(rates):
        if bitrate <= high:
            return more + (less - more) * (bitrate - low) / (high - low)
    return rates[-1][1]


def _opinion(rating: float) -> float:
    # G.107 Annex B.
    return max(1.0, 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6)
