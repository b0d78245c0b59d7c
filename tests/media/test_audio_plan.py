"""Plans of sound: what they take on the wire, and which cannot be."""

from __future__ import annotations

import pytest

from entrenous.errors import LocalProtocolError
from entrenous.media.audio_plan import HEADER_ROOM, AudioPlan


def test_the_rate_on_the_wire_counts_every_byte() -> None:
    plan = AudioPlan(32_000)
    assert plan.opus_bytes == plan.plain_bytes == 80
    assert plan.sealed_bytes == HEADER_ROOM + 80 + 16
    assert plan.wire_rate(60) == (101 + 60) * 8 * 50


def test_a_duplicate_takes_its_own_bytes_and_no_packets() -> None:
    plan = AudioPlan(24_000, duplicate_distance=2)
    assert plan.plain_bytes == 2 * 60 + 5
    assert plan.wire_rate(60) - AudioPlan(24_000).wire_rate(60) == 65 * 8 * 50


def test_longer_frames_take_fewer_packets() -> None:
    assert AudioPlan(16_000, frame_ms=60).wire_rate(60) == (120 + 21 + 60) * 8000 // 60
    assert AudioPlan(16_000, frame_ms=60).wire_rate(60) < AudioPlan(16_000).wire_rate(60) - 20_000


@pytest.mark.parametrize(
    ("bitrate", "fec", "distance", "frame_ms"),
    [
        (32_000, False, 0, 30),
        (32_000, False, 4, 20),
        (32_000, False, -1, 20),
        (32_000, True, 0, 60),
        (5_999, False, 0, 20),
        (128_000, False, 1, 60),
        (509_000, False, 0, 20),
    ],
)
def test_a_plan_that_no_packet_fits_is_refused(bitrate: int, fec: bool, distance: int, frame_ms: int) -> None:
    with pytest.raises(LocalProtocolError):
        AudioPlan(bitrate, fec, distance, frame_ms)
