"""When frames and repairs are sent twice without being asked to (pure)."""

from __future__ import annotations

MOST_PACKETS = 2
"""Packets of the largest frame that is sent twice: larger ones cost too much of the rate."""

LEAST_LOSS = 0.03
"""The share of lost packets from which on it is worth it."""

LEAST_ROUND_TRIP = 0.100
"""Seconds of a round trip below which asking again is as good."""


def is_worth_doubling(packets: int, loss: float, round_trip: float | None) -> bool:
    """Whether a frame or a repair is sent twice: where it is small, and another one on request would come late.

    Args:
        packets: of the frame.
        loss: the share of this stream's packets that get lost, 0..1.
        round_trip: seconds, None while unknown.
    """
    return packets <= MOST_PACKETS and loss >= LEAST_LOSS and round_trip is not None and round_trip >= LEAST_ROUND_TRIP
