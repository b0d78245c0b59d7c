"""What delay would have been enough, told from arrivals."""

from __future__ import annotations

import random

import pytest

from entrenous.media.arrivals import ArrivalHistory


def filled(transits: list[float], spacing: float = 0.02) -> ArrivalHistory:
    history = ArrivalHistory()
    for number, transit in enumerate(transits):
        history.add(number * spacing + 0.001, transit)
    return history


def test_nothing_is_needed_before_the_first() -> None:
    history = ArrivalHistory()
    assert history.is_empty
    assert history.needed == history.recent == 0


@pytest.mark.parametrize("origin", [-5000.0, 0.0, 70.0])
def test_an_even_stream_needs_next_to_nothing_whatever_its_origin(origin: float) -> None:
    history = filled([origin] * 100)
    assert history.fastest == origin
    assert history.needed <= 0.005


def test_the_fastest_is_that_of_the_last_five_seconds() -> None:
    history = filled([1.0] + [1.02] * 240)
    assert history.fastest == 1.0
    for number in range(241, 260):
        history.add(number * 0.02, 1.02)
    assert history.fastest == pytest.approx(1.02)
    assert len(history._fastest) <= 252


def test_jitter_needs_what_it_takes() -> None:
    source = random.Random(1)
    needed = filled([source.uniform(0, 0.06) for _ in range(1500)]).needed
    assert 0.055 <= needed <= 0.060


def test_a_burst_counts_once_and_not_at_all_if_it_stays_alone() -> None:
    for before in (30, 300, 3000):
        history = filled([0.0] * before)
        for number in range(30):
            history.add(before * 0.02, 0.6 - number * 0.02)
        for number in range(60):
            history.add((before + 1 + number) * 0.02, 0.0)
        assert history.needed <= 0.005


def test_bursts_that_come_again_are_waited_for() -> None:
    history = filled(([0.0] * 100 + [0.08]) * 20)
    assert history.needed == pytest.approx(0.085)


QUEUE = [number * 0.006 for number in range(50)] + [0.3 - number * 0.006 for number in range(50)]
"""What a queue does to the packets of two seconds, that fills in half of them and empties in the other half."""


def test_a_queue_counts_once_however_long_it_takes_to_empty() -> None:
    for before in (100, 500, 3000):
        assert filled([0.0] * before + QUEUE + [0.0] * 100).needed <= 0.040
    assert filled(([0.0] * 200 + QUEUE) * 3 + [0.0] * 30).needed > 0.2


def test_delays_that_last_are_recent_all_the_time_and_then_the_path() -> None:
    for late in range(1, 250, 10):
        assert filled([0.0] * 500 + [0.1] * late).recent == pytest.approx(0.1)
    assert filled([0.0] * 500 + [0.1] * 400).recent == pytest.approx(0.0)


def test_trouble_that_is_over_is_no_reason_to_wait_for_longer_than_ten_seconds() -> None:
    queues = ([0.0] * 100 + QUEUE) * 3
    assert filled(queues + [0.0] * 450).needed > 0.2
    assert filled(queues + [0.0] * 550).needed <= 0.005
    assert 0.040 <= filled(queues + [0.0, 0.040] * 275).needed <= 0.055


def test_a_path_that_gets_far_better_is_known_for_it_within_two_seconds() -> None:
    narrow = ([0.0, 0.02] * 60 + [0.12] * 10) * 6
    assert filled(narrow).needed > 0.1
    assert filled(narrow + [0.0, 0.004] * 50).needed <= 0.010
    assert filled(narrow + [0.0, 0.018] * 50).needed > 0.1
    # What is rare on the better path is counted as on any other.
    assert filled(narrow + [0.0, 0.004] * 50 + ([0.0] * 100 + [0.08]) * 4).needed == pytest.approx(0.085)


def test_packets_in_regular_batches_need_the_whole_batch() -> None:
    history = ArrivalHistory()
    for batch in range(40):
        for number in range(5):
            history.add(batch * 0.1 + 0.001, 0.08 - number * 0.02)
    assert history.needed == pytest.approx(0.085)


def test_what_was_long_ago_is_forgotten() -> None:
    history = filled([0.0, 0.1] * 500)
    assert history.needed == pytest.approx(0.105)
    for number in range(1000, 11_000):
        history.add(number * 0.02, 0.0)
    assert history.needed <= 0.005


def test_the_last_trouble_is_recent_for_half_a_second_to_a_second() -> None:
    history = filled([0.0] * 20 + [0.2])
    assert history.recent == pytest.approx(0.2)
    for number in range(21, 47):
        history.add(number * 0.02 + 0.001, 0.0)
    assert history.recent == pytest.approx(0.2)
    for number in range(47, 75):
        history.add(number * 0.02 + 0.001, 0.0)
    assert history.recent == 0


def test_what_was_read_late_is_late_but_its_way_was_not() -> None:
    history = ArrivalHistory()
    for number in range(200):
        history.add(number * 0.02 + 0.001, 1.0, excuse=0.03)
    assert history.fastest == 1.0
    assert history.needed == pytest.approx(0.035)


def test_repairs_are_waited_for_without_being_fast() -> None:
    history = ArrivalHistory()
    for number in range(200):
        history.add(number * 0.02 + 0.001, 1.0)
        history.add_repair(1.04)
    assert history.fastest == 1.0
    assert history.needed == pytest.approx(0.045)


def test_there_is_an_end_to_what_can_be_needed() -> None:
    assert filled(([0.0] * 20 + [7.0]) * 20).needed == pytest.approx(0.6)


@pytest.mark.parametrize(("jitter", "most"), [(0.0, 0.065), (0.060, 0.110), (0.200, 0.250)])
def test_repairs_are_waited_for_within_bounds(jitter: float, most: float) -> None:
    source, history = random.Random(1), ArrivalHistory()
    for number in range(1500):
        at = number * 0.02 + 0.001
        history.add(at, source.uniform(0, jitter))
        history.add_repair(source.uniform(0, jitter) + 0.3)
    assert history.needed == pytest.approx(most, abs=0.006)
    assert history.recent <= most + 0.006
