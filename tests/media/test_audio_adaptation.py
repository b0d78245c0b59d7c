"""From feedback to plans."""

from __future__ import annotations

from entrenous.media.allocation import Demand
from entrenous.media.audio_adaptation import AudioAdaptation
from entrenous.media.audio_plan import AudioPlan
from entrenous.media.feedback import TransportFeedback


class Path:
    """A path of some rate that loses every n-th packet of sound, for as long as it is told to."""

    def __init__(self) -> None:
        self.plans: list[AudioPlan] = []
        self.demands: list[Demand] = []
        self.adaptation = AudioAdaptation(48_000, 64, self.plans.append, self.demands.append)
        self.now = 0.0
        self.number = 0

    def run(self, seconds: float, *, rate: float, lost_of: int | None = None) -> None:
        self.adaptation.rate_changed(rate, self.now)
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            numbers = range(self.number, self.number + 10)
            self.number += 10
            for number in numbers[::2]:  # every other packet is one of a picture
                self.adaptation.sent(number % 65536)
            lost = [lost_of is not None and number // 2 % lost_of == 0 for number in numbers]
            arrivals = tuple(None if gone else tick for tick, gone in enumerate(lost))
            self.adaptation.fed_back(TransportFeedback(numbers[0] % 65536, 0, 0, arrivals), self.now)


def test_nothing_changes_before_the_rate_is_known() -> None:
    path = Path()
    path.adaptation.fed_back(TransportFeedback(0, 0, 0, (None,) * 100), 1.0)
    assert path.plans == []
    assert path.adaptation.plan.fec


def test_a_clean_wide_path_gets_the_full_band() -> None:
    path = Path()
    path.run(20, rate=500_000)
    assert path.plans[-1] == path.adaptation.plan == AudioPlan(48_000)
    assert len(path.plans) <= 2


def test_loss_brings_protection_within_two_seconds_and_its_end_takes_it_back() -> None:
    path = Path()
    path.run(20, rate=500_000)
    path.run(2.5, rate=500_000, lost_of=10)
    assert path.adaptation.plan.fec or path.adaptation.plan.duplicate_distance
    path.run(10, rate=500_000, lost_of=10)
    assert path.adaptation.plan.fec
    assert path.adaptation.plan.duplicate_distance
    path.run(60, rate=500_000)
    assert path.adaptation.plan == AudioPlan(48_000)


def test_a_narrow_path_gets_long_frames_at_once() -> None:
    path = Path()
    path.run(20, rate=500_000)
    path.adaptation.rate_changed(38_000, path.now)
    assert path.adaptation.plan.frame_ms == 60
    assert path.adaptation.plan.wire_rate(64) <= 38_000


def test_round_trips_are_heard_too() -> None:
    path = Path()
    path.run(20, rate=500_000)
    path.adaptation.round_trip_measured(0.3)
    path.run(20, rate=500_000, lost_of=10)
    assert path.adaptation.plan.fec
    assert path.adaptation.demand.maximum > path.adaptation.plan.wire_rate(64)


def test_longer_headers_raise_what_sound_demands() -> None:
    path = Path()
    before = path.adaptation.demand
    path.adaptation.overhead_changed(84)
    assert path.adaptation.demand.minimum > before.minimum
    assert path.demands == [path.adaptation.demand]


def test_rate_for_protection_is_asked_for_as_soon_as_losses_begin() -> None:
    path = Path()
    path.run(20, rate=92_000)
    assert path.adaptation.plan == AudioPlan(48_000)
    del path.demands[:]
    path.run(1.5, rate=92_000, lost_of=4)
    asked = path.demands[-1].maximum
    assert asked > 140_000
    path.run(2.5, rate=asked, lost_of=4)
    assert path.adaptation.plan.bitrate == 48_000
    assert path.adaptation.plan.duplicate_distance
    path.run(60, rate=asked)
    assert path.demands[-1].maximum < 100_000
    assert len(path.demands) < 8
