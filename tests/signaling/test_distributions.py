"""Counts in buckets."""

from __future__ import annotations

from entrenous_signaling.distributions import Distribution


def test_a_value_counts_up_to_its_bound_and_in_all_above() -> None:
    spread = Distribution((0.1, 1, 10))
    for value in (0.05, 0.1, 0.5, 1.0, 99.0):
        spread.observe(value)
    assert spread.buckets() == [("0.1", 2.0), ("1.0", 4.0), ("10.0", 4.0), ("+Inf", 5.0)]
    assert spread.total == 0.05 + 0.1 + 0.5 + 1.0 + 99.0
