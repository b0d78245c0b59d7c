"""How good each way of sending sound is on a path that loses packets: measured, and read off between the points (pure).

PESQ-WB (ITU-T P.862.2), the mean of two voices of 12 s and two patterns of loss; Opus 1.6.1 at complexity 9, a
receiver that waits for every copy, then takes FEC, then PLC. Loss at random, and in bursts of three packets on average
(Gilbert). STOI orders the ways alike: 0.98 to 1.00 where PESQ is above 4, 0.81 without protection at 20 % in bursts.
What it shows:

- a clean path is served by 48 kbit/s; below 24 kbit/s, longer frames at a higher rate beat short ones at a lower;
- FEC costs little from 32 kbit/s upwards and nearly doubles the score at 5 %; 24 kbit/s is where it begins to hurt;
- a duplicate alone does as well as FEC at twice the rate; both together hold above 4 at 20 %, for a copy of a packet
  carries the FEC of the one before it as well;
- for bursts the copy has to be three packets behind.

PESQ hears nothing above 8 kHz, where FEC cuts the band off: `audio_planner` counts that separately.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

from .audio_plan import AudioPlan

RANDOM_LOSS = (0.0, 0.01, 0.03, 0.05, 0.1, 0.2)
BURSTY_LOSS = (0.0, 0.03, 0.05, 0.1, 0.2)
"""Shares of packets lost, at which was measured."""

MEASURED_BURST = 3.0
"""Packets lost in a row on average, in the measurement with bursts."""

_MEASURED: Mapping[tuple[int, bool, int, int], tuple[int, ...]] = {
    # kbit/s, FEC, distance of the duplicate, ms of frames: hundredths at 0, 1, 3, 5, 10, 20 %; in bursts 3, 5, 10, 20 %
    (16, False, 0, 60): (362, 318, 273, 226, 179, 134, 286, 253, 217, 151),
    (20, False, 0, 60): (405, 356, 304, 246, 192, 138, 320, 284, 241, 159),
    (24, False, 0, 60): (425, 373, 318, 256, 196, 138, 336, 300, 254, 164),
    (24, False, 0, 40): (425, 368, 319, 272, 200, 146, 312, 287, 246, 156),
    (32, False, 0, 40): (442, 383, 332, 281, 204, 147, 325, 299, 255, 159),
    (16, False, 0, 20): (370, 330, 293, 261, 188, 144, 284, 254, 199, 136),
    (20, False, 0, 20): (411, 363, 318, 281, 196, 145, 314, 281, 216, 139),
    (24, False, 0, 20): (429, 379, 329, 288, 201, 148, 327, 293, 224, 141),
    (32, False, 0, 20): (442, 388, 339, 294, 202, 148, 336, 301, 229, 142),
    (40, False, 0, 20): (448, 391, 339, 297, 204, 149, 339, 303, 230, 143),
    (48, False, 0, 20): (450, 394, 342, 299, 205, 148, 341, 305, 231, 143),
    (64, False, 0, 20): (452, 394, 343, 299, 205, 149, 341, 305, 232, 143),
    (24, True, 0, 20): (385, 378, 368, 352, 313, 256, 319, 291, 236, 156),
    (32, True, 0, 20): (433, 427, 420, 398, 361, 294, 356, 326, 261, 168),
    (40, True, 0, 20): (443, 441, 433, 412, 378, 312, 365, 334, 267, 170),
    (48, True, 0, 20): (450, 447, 440, 419, 385, 322, 369, 338, 271, 172),
    (64, True, 0, 20): (451, 449, 443, 421, 391, 327, 374, 342, 275, 175),
    (16, False, 1, 60): (362, 362, 352, 350, 307, 248, 303, 277, 249, 181),
    (20, False, 1, 60): (405, 405, 395, 391, 345, 276, 341, 314, 282, 197),
    (24, False, 1, 60): (425, 425, 414, 410, 362, 289, 359, 331, 296, 206),
    (24, False, 1, 40): (425, 425, 417, 416, 373, 301, 336, 313, 281, 189),
    (16, False, 1, 20): (370, 370, 368, 355, 330, 272, 305, 278, 227, 155),
    (16, False, 2, 20): (370, 369, 367, 360, 339, 287, 318, 293, 249, 180),
    (16, False, 3, 20): (370, 369, 369, 368, 341, 294, 328, 303, 274, 205),
    (20, False, 1, 20): (411, 411, 409, 395, 366, 298, 338, 310, 249, 162),
    (20, False, 2, 20): (411, 410, 406, 399, 373, 312, 353, 328, 275, 193),
    (20, False, 3, 20): (411, 410, 410, 409, 375, 318, 365, 339, 306, 225),
    (24, False, 1, 20): (429, 429, 427, 411, 380, 308, 353, 324, 259, 164),
    (24, False, 2, 20): (429, 428, 425, 416, 391, 328, 368, 343, 289, 199),
    (24, False, 3, 20): (429, 428, 428, 427, 392, 334, 382, 357, 321, 234),
    (32, False, 1, 20): (442, 442, 440, 424, 392, 317, 363, 333, 266, 166),
    (32, False, 2, 20): (442, 441, 436, 426, 399, 335, 379, 353, 298, 200),
    (32, False, 3, 20): (442, 441, 441, 439, 402, 342, 394, 368, 329, 235),
    (24, True, 1, 20): (385, 385, 385, 383, 374, 358, 331, 306, 260, 183),
    (24, True, 2, 20): (385, 385, 384, 383, 376, 362, 344, 320, 287, 219),
    (24, True, 3, 20): (385, 385, 385, 385, 377, 369, 352, 332, 310, 256),
    (32, True, 1, 20): (433, 433, 431, 431, 421, 401, 372, 345, 291, 202),
    (32, True, 2, 20): (433, 433, 433, 432, 423, 409, 386, 360, 323, 244),
    (32, True, 3, 20): (433, 433, 433, 433, 426, 419, 394, 372, 351, 288),
    (48, True, 1, 20): (450, 450, 448, 448, 439, 419, 387, 359, 303, 209),
    (48, True, 2, 20): (450, 450, 450, 450, 440, 429, 402, 375, 336, 254),
    (48, True, 3, 20): (450, 450, 450, 450, 443, 438, 407, 384, 362, 299),
}


class Scores:
    """The scores of one plan.

    Args:
        plan: one of `MEASURED`.
    """

    def __init__(self, plan: AudioPlan) -> None:
        row = _MEASURED[(plan.bitrate // 1000, plan.fec, plan.duplicate_distance, plan.frame_ms)]
        scores = [score / 100 for score in row]
        self._random = scores[: len(RANDOM_LOSS)]
        self._bursty = [scores[0], *scores[len(RANDOM_LOSS) :]]

    def at(self, loss: float, burst: float) -> float:
        """The score, about 1 to 4.5.

        Args:
            loss: the share of packets lost, 0..1; beyond what was measured it is that of the last point.
            burst: packets lost in a row on average, from 1; between what chance makes of it and `MEASURED_BURST` it is
                read off in between.
        """
        by_chance = 1.0 / (1.0 - min(loss, RANDOM_LOSS[-1]))
        bursty = min(1.0, max(0.0, (burst - by_chance) / (MEASURED_BURST - by_chance)))
        scattered = _between(RANDOM_LOSS, self._random, loss)
        return scattered + bursty * (_between(BURSTY_LOSS, self._bursty, loss) - scattered)


MEASURED = tuple(AudioPlan(kilobits * 1000, fec, distance, frame_ms) for kilobits, fec, distance, frame_ms in _MEASURED)
"""The plans whose scores are known."""


def _between(points: tuple[float, ...], values: list[float], point: float) -> float:
    """The value at a point, on straight lines between those known."""
    after = bisect_right(points, point)
    if after == 0:
        return values[0]
    if after == len(points):
        return values[-1]
    share = (point - points[after - 1]) / (points[after] - points[after - 1])
    return values[after - 1] + share * (values[after] - values[after - 1])
