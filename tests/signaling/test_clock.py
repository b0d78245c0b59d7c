"""The server's clock."""

from __future__ import annotations

import time

import pytest

from entrenous_signaling.clock import SteadyClock


def test_it_starts_at_the_time_of_day_and_does_not_follow_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = time.time()
    clock = SteadyClock()
    assert before - 1 <= clock.now() <= time.time() + 1
    first = clock.now()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert clock.now() >= first
