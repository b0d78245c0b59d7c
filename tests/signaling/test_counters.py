"""The counters name nobody."""

from __future__ import annotations

import dataclasses
from collections import Counter

from entrenous_signaling.counters import Counters


def test_every_count_starts_at_nothing_and_is_a_number_or_counts_an_enum() -> None:
    counters = Counters()
    for field in dataclasses.fields(counters):
        assert getattr(counters, field.name) in (0, Counter())
