"""Figures and rates."""

from __future__ import annotations

import json

import pytest

from entrenous.errors import ConfigError
from entrenous.media.quality import Quality
from entrenous.media.stats import AudioStats, CallStats, RateMeter


def test_figures_become_json() -> None:
    stats = CallStats(seconds=1.5, path="direct", round_trip_ms=3.0, audio=AudioStats(sent=75))
    read = json.loads(json.dumps(stats.to_dict()))
    assert (read["seconds"], read["path"], read["audio"]["sent"], read["video"]["decoded"]) == (1.5, "direct", 75, 0)


def test_a_steady_stream_has_its_rate() -> None:
    meter = RateMeter()
    for packet in range(500):
        meter.add(100, packet * 0.01)
        if packet > 200:
            assert meter.per_second(packet * 0.01) == pytest.approx(10_000, rel=0.02)


def test_a_rate_counts_from_what_came_first_however_late() -> None:
    meter = RateMeter()
    for packet in range(100):
        meter.add(1, 1000.9 + packet * 0.01)
    assert meter.per_second(1001.9) == pytest.approx(100, rel=0.02)


def test_a_rate_fades_when_nothing_comes() -> None:
    meter = RateMeter()
    assert meter.per_second(0.0) == 0.0
    for packet in range(100):
        meter.add(1, packet * 0.01)
    assert meter.per_second(1.5) == pytest.approx(50, abs=2)
    assert meter.per_second(2.1) == 0.0
    assert meter.per_second(60.0) == 0.0


def test_figures_come_back_from_json() -> None:
    stats = CallStats(seconds=1.5, path="relay", audio=AudioStats(sent=75), quality=Quality(90.0, 4.3))
    assert CallStats.from_dict(json.loads(json.dumps(stats.to_dict()))) == stats


def test_figures_of_another_version_are_read_as_far_as_they_go() -> None:
    assert CallStats.from_dict({"seconds": 2, "what came later": 1, "audio": {"sent": 3}}).audio.sent == 3


@pytest.mark.parametrize("values", [None, 3, [], {"audio": {"sent": "many"}}, {"seconds": None}])
def test_what_is_no_figures_is_refused(values: object) -> None:
    with pytest.raises(ConfigError, match="no figures of a call"):
        CallStats.from_dict(values)
