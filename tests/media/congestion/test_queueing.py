"""How long packets wait on the way."""

from __future__ import annotations

import pytest

from entrenous.media.congestion.queueing import BASE_SECONDS, STANDING_PACKETS, QueueDelay


def test_nothing_is_known_without_packets() -> None:
    assert QueueDelay().seconds == 0.0


@pytest.mark.parametrize("clock", [-5000.0, 0.0, 5000.0])
def test_a_queue_is_what_comes_on_top_of_the_least_delay(clock: float) -> None:
    queue = QueueDelay()
    for number in range(100):
        at = number * 0.02
        queue.add(at, at + clock + 0.030 + (0.2 if number >= 50 else 0.0))
    assert queue.seconds == pytest.approx(0.2, abs=1e-6)


def test_a_single_late_packet_is_no_queue() -> None:
    queue = QueueDelay()
    for number in range(50):
        queue.add(number * 0.02, number * 0.02 + (0.3 if number == 49 else 0.0))
    assert queue.seconds == pytest.approx(0.0, abs=1e-6)


def test_a_longer_path_is_taken_for_one_after_a_while_and_drift_does_not_add_up() -> None:
    queue = QueueDelay()
    for number in range(int(100 / 0.02)):
        at = number * 0.02
        queue.add(at, at * 1.0001)
    assert queue.seconds < 0.002
    for number in range(int((BASE_SECONDS + 2) / 0.02)):
        at = 100 + number * 0.02
        queue.add(at, at * 1.0001 + 0.1)
    assert queue.seconds < 0.002


def test_jitter_is_how_much_delays_differ() -> None:
    queue = QueueDelay()
    for number in range(500):
        queue.add(number * 0.02, number * 0.02 + (0.010 if number % 2 else 0.0))
    assert queue.jitter == pytest.approx(0.010, rel=0.01)


def test_jitter_spares_one_of_the_last_packets_and_a_queue_none() -> None:
    queue = QueueDelay()
    for number in range(200):
        queue.add(number * 0.02, number * 0.02 + (0.0 if number % STANDING_PACKETS == 7 else 0.1))
    assert queue.only_trembles
    for number in range(200, 200 + STANDING_PACKETS):
        queue.add(number * 0.02, number * 0.02 + 0.1)
    assert not queue.only_trembles


@pytest.mark.parametrize("packets", [0, 1, 10, 200])
def test_packets_that_are_many_or_no_more_than_a_few_say_nothing_of_trembling(packets: int) -> None:
    queue = QueueDelay()
    for number in range(packets):
        queue.add(number * 0.01, number * 0.01 + 0.05)
    assert not queue.only_trembles


def test_what_packets_usually_wait_is_learnt_slowly_and_forgotten() -> None:
    queue = QueueDelay()
    for number in range(4000):
        late = 0.03 if number % 100 else 0.0
        queue.add(number * 0.02, number * 0.02 + late)
        queue.look()
        if number == 20:
            assert queue.usual < 0.03
    assert 0.03 < queue.usual <= 0.05
    assert queue.trembling == pytest.approx(queue.usual / 2)
    for number in range(4000, 5000):
        queue.add(number * 0.02, number * 0.02)
        queue.look()
    assert queue.usual <= 0.001


def test_a_queue_that_all_packets_wait_in_stands() -> None:
    queue = QueueDelay()
    assert queue.standing == 0.0
    for number in range(200):
        queue.add(number * 0.02, number * 0.02 + (0.06 if number >= 100 else 0.0))
        if number == 110:
            assert queue.standing == pytest.approx(0.0, abs=1e-6)
    assert queue.standing == pytest.approx(0.06)
