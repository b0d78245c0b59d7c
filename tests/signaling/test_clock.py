"""The server's clock."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from entrenous_signaling import clock
from entrenous_signaling.app import Server
from entrenous_signaling.clock import SET_SECONDS, SteadyClock
from entrenous_signaling.config import ServerConfig
from entrenous_signaling.notify import Notifier


def test_it_starts_at_the_time_of_day_and_does_not_follow_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = time.time()
    clock = SteadyClock()
    assert before - 1 <= clock.now() <= time.time() + 1
    first = clock.now()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert clock.now() >= first


def test_it_notices_that_the_time_of_day_was_set_and_goes_on_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    moment, day = 5_000.0, 1_000_000.0
    monkeypatch.setattr(clock, "_elapsed", lambda: moment)
    monkeypatch.setattr(clock, "time", SimpleNamespace(time=lambda: day))
    steady = SteadyClock()
    assert (steady.look(), steady.set_by) == (False, 0.0)
    for ahead, noticed, set_by in (
        (SET_SECONDS, False, 0.0),
        (SET_SECONDS + 1, True, SET_SECONDS + 1),
        (SET_SECONDS + 20, False, SET_SECONDS + 1),
        (-3600.0, True, -3600.0),
        (2.0, True, 0.0),
        (-2.0, False, 0.0),
    ):
        moment += 60.0
        day = 1_000_000.0 + moment - 5_000.0 + ahead
        assert (steady.look(), steady.set_by) == (noticed, set_by)
        assert steady.now() == 1_000_000.0 + moment - 5_000.0


async def test_a_server_looks_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = ServerConfig(listen="127.0.0.1:0", data=str(tmp_path / "data"), insecure_loopback=True)
    server = Server(config, Notifier({}))
    set_since = SimpleNamespace(
        time=lambda: time.time() - 3600.0, clock_gettime=time.clock_gettime, monotonic=time.monotonic
    )
    monkeypatch.setattr(clock, "time", set_since)
    try:
        await server.start()
        status = await server.status()
    finally:
        await server.close()
    assert status.clock_set_by == -3600
    assert "clock-set seconds=-3600" in caplog.messages
