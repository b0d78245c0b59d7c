"""What the shell measures."""

from __future__ import annotations

from entrenous_signaling.meters import Access, Generation, Meters


def test_each_access_and_generation_is_measured_apart() -> None:
    meters = Meters()
    meters.store_seconds[Access.READ].observe(0.002)
    meters.pause_seconds[Generation.ALL].observe(0.3)
    assert [meters.store_seconds[access].total for access in Access] == [0.002, 0.0]
    assert [meters.pause_seconds[generation].total for generation in Generation] == [0.0, 0.0, 0.3]
