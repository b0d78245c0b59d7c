"""The counters name nobody."""

from __future__ import annotations

import dataclasses

from entrenous_signaling.counters import Counters


def test_every_count_starts_at_nothing_and_is_a_number_or_counts_an_enum() -> None:
    counters = Counters()
    for field in dataclasses.fields(counters):
        value = getattr(counters, field.name)
        assert value == 0 or not any(value.values())
