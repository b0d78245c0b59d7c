"""When to probe, and what a probe tells."""

from __future__ import annotations

import itertools

import pytest

from entrenous.media.congestion.history import Arrival
from entrenous.media.congestion.probing import (
    AFTER_OVERUSE,
    FIRST_FACTOR,
    IDLE_INTERVAL,
    LEAST_PACKETS,
    NEXT_FACTOR,
    PATIENCE,
    PERIODIC_INTERVAL,
    RECOVERY_INTERVALS,
    TREMBLING,
    Probe,
    Prober,
)

MOST = 10_000_000.0


def due(prober: Prober, rate: float, now: float, *, limited: bool = False, jitter: float = 0.0) -> Probe | None:
    return prober.due(rate, MOST, jitter, now, quiet=True, limited=limited, bounded=False)


def pass_through(prober: Prober, probe: Probe, carried: float, now: float, jitter: float = 0.0) -> float | None:
    """Let the packets of a probe arrive over a path that carries so much."""
    size = probe.size // probe.packets + 1
    result, free_at = None, 0.0
    for number in range(probe.packets):
        sent = number * size * 8 / probe.rate
        free_at = max(free_at, sent) + size * 8 / carried
        result = prober.arrived(Arrival(now + sent, 500.0 + free_at, size, probe.number), jitter, now) or result
    return result


def test_a_new_path_is_probed_at_once_and_further_while_it_carries() -> None:
    prober = Prober(0.0)
    first = due(prober, 600_000, 0.0)
    assert first is not None
    assert first.rate == FIRST_FACTOR * 600_000
    assert first.packets >= LEAST_PACKETS
    result = pass_through(prober, first, 50_000_000, 0.1)
    assert result == pytest.approx(first.rate, rel=0.01)
    second = due(prober, first.rate, 0.1)
    assert second is not None
    assert second.rate == pytest.approx(NEXT_FACTOR * first.rate)


def test_a_path_that_does_not_carry_it_shows_what_it_carries() -> None:
    prober = Prober(0.0)
    probe = due(prober, 600_000, 0.0)
    assert probe is not None
    assert pass_through(prober, probe, 700_000, 0.1) == pytest.approx(0.9 * 700_000, rel=0.01)
    assert due(prober, 665_000, 0.2) is None


def test_jitter_makes_a_result_careful_and_a_probe_longer() -> None:
    calm, shaken = Prober(0.0), Prober(0.0)
    short, long = due(calm, 600_000, 0.0), due(shaken, 600_000, 0.0, jitter=0.02)
    assert short is not None
    assert long is not None
    assert long.size > short.size
    careful = pass_through(shaken, long, 50_000_000, 0.1, jitter=0.02)
    assert careful is not None
    assert careful < 0.8 * long.rate


def test_arrivals_bunched_on_the_way_say_nothing() -> None:
    prober = Prober(0.0)
    probe = due(prober, 600_000, 0.0)
    assert probe is not None
    results = [
        prober.arrived(Arrival(number * 0.01, 5.0 + number * 1e-4, probe.size, probe.number), 0.0, 0.1)
        for number in range(probe.packets)
    ]
    assert results == [None] * probe.packets


def test_after_a_fall_it_is_probed_often_until_what_was_is_back() -> None:
    prober = Prober(0.0)
    prober.fell(2_000_000, 255_000, 10.0)
    assert due(prober, 255_000, 10.0 + AFTER_OVERUSE - 0.01) is None
    times = []
    for step in range(4000):
        now = 11.0 + step * 0.01
        probe = due(prober, 255_000, now)
        if probe is not None:
            times.append(now)
            assert probe.rate == FIRST_FACTOR * 255_000
            pass_through(prober, probe, 300_000, now)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert RECOVERY_INTERVALS[0] - 0.02 <= min(gaps)
    assert max(gaps) <= RECOVERY_INTERVALS[1] + 0.02


@pytest.mark.parametrize(("limited", "interval"), [(True, IDLE_INTERVAL), (False, PERIODIC_INTERVAL)])
def test_otherwise_it_is_probed_now_and_then(limited: bool, interval: float) -> None:
    prober = Prober(0.0)
    first = due(prober, 600_000, 0.0, limited=limited)
    assert first is not None
    pass_through(prober, first, 700_000, 0.1)
    assert due(prober, 600_000, interval - 0.01, limited=limited) is None
    assert due(prober, 600_000, interval + 0.01, limited=limited) is not None


def test_there_is_no_probe_in_trouble_or_beyond_what_is_useful() -> None:
    prober = Prober(0.0)
    assert prober.due(600_000, MOST, 0.0, 0.0, quiet=False, limited=False, bounded=False) is None
    assert prober.due(600_000, 600_000, 0.0, 0.0, quiet=True, limited=False, bounded=False) is None
    probe = prober.due(600_000, 700_000, 0.0, 0.0, quiet=True, limited=False, bounded=False)
    assert probe is not None
    assert probe.rate == 700_000


def test_a_probe_that_nothing_is_heard_of_is_given_up() -> None:
    prober = Prober(0.0)
    probe = due(prober, 600_000, 0.0)
    assert probe is not None
    assert due(prober, 600_000, PATIENCE + 0.1) is None
    assert pass_through(prober, probe, 1e9, PATIENCE + 0.1) is None
    assert due(prober, 600_000, PERIODIC_INTERVAL + 0.1) is not None


def test_it_rests_whenever_nothing_could_be_due() -> None:
    prober = Prober(0.0)
    assert not prober.rests(1e6, MOST, 0.0)
    assert prober.rests(MOST, MOST, 0.0)
    assert due(prober, 1e6, 0.0) is not None
    assert prober.rests(1e6, MOST, PATIENCE / 2)  # under way
    assert not prober.rests(1e6, MOST, PERIODIC_INTERVAL + PATIENCE)  # given up, and time for the next one
    prober.fell(1e6, 0.9e6, 100.0)
    assert prober.rests(0.9e6, MOST, 100.0 + AFTER_OVERUSE / 2)


def test_what_slowed_a_probe_is_known_until_there_may_be_more_or_less() -> None:
    prober = Prober(0.0)
    for change in (lambda: prober.fell(6e5, 5e5, 1.0), lambda: prober.widened(1.0), lambda: prober.start(1.0)):
        prober.start(0.0)
        probe = due(prober, 600_000, 0.0)
        assert probe is not None
        pass_through(prober, probe, 700_000, 0.1)
        assert prober.carried == pytest.approx(700_000, rel=0.01)
        change()
        assert prober.carried is None


def test_a_probe_that_passed_tells_what_is_carried_while_more_is_sought() -> None:
    prober = Prober(0.0)
    probe = due(prober, 600_000, 0.0)
    assert probe is not None
    pass_through(prober, probe, 50_000_000, 0.1)
    assert prober.carried == pytest.approx(probe.rate, rel=0.01)
    last = due(prober, 0.9 * MOST, 0.2)
    assert last is not None
    pass_through(prober, last, 50_000_000, 0.3)
    assert prober.carried is None


def test_under_jitter_it_climbs_where_it_would_probe_and_rests_after_a_climb_that_failed() -> None:
    prober = Prober(0.0)
    prober.fell(2_000_000, 255_000, 10.0)
    shaken = 2 * TREMBLING
    assert not prober.climbs(255_000, shaken, 10.0 + AFTER_OVERUSE - 0.01)
    assert prober.climbs(255_000, shaken, 10.0 + AFTER_OVERUSE)
    assert due(prober, 255_000, 10.0 + AFTER_OVERUSE, jitter=shaken) is None
    assert not prober.climbs(255_000, TREMBLING / 2, 10.0 + AFTER_OVERUSE)
    assert prober.climbs(255_000, shaken, 12.0)
    prober.fell(400_000, 255_000, 12.0)
    assert not prober.climbs(255_000, shaken, 12.0 + RECOVERY_INTERVALS[0] - 0.01)
    assert prober.climbs(255_000, shaken, 12.0 + RECOVERY_INTERVALS[0])
    assert not prober.climbs(1_900_000, shaken, 12.0 + RECOVERY_INTERVALS[0])
