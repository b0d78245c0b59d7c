"""What arrives, bits a second."""

from __future__ import annotations

import pytest

from entrenous.media.congestion.throughput import LEAST_PACKETS, Throughput


def test_nothing_is_said_before_there_are_packets() -> None:
    throughput = Throughput()
    for number in range(LEAST_PACKETS - 1):
        throughput.add(number * 0.01, 1000)
    assert throughput.rate() is None


def test_a_steady_stream() -> None:
    throughput = Throughput()
    for number in range(300):
        throughput.add(number * 0.01, 1250)
    assert throughput.rate() == pytest.approx(1_000_000)


def test_a_short_window_sees_a_change_first() -> None:
    throughput = Throughput()
    for number in range(100):
        throughput.add(number * 0.01, 1250)
    for number in range(20):
        throughput.add(1.0 + number * 0.01, 250)
    assert throughput.rate(0.15) == pytest.approx(200_000)
    assert throughput.rate() == pytest.approx(680_000, rel=0.05)


def test_few_packets_are_measured_over_longer() -> None:
    throughput = Throughput()
    for number in range(50):
        throughput.add(number * 0.2, 1000)
    assert throughput.rate(0.1) == pytest.approx(40_000)


def test_packets_of_one_instant_say_nothing() -> None:
    throughput = Throughput()
    for _ in range(2 * LEAST_PACKETS):
        throughput.add(1.0, 1000)
    assert throughput.rate() is None


def test_what_was_overtaken_counts_with_what_overtook_it() -> None:
    throughput = Throughput()
    for number in range(100):
        throughput.add(number * 0.01 + (0.015 if number % 2 else 0.0), 1250)
    assert throughput.rate() == pytest.approx(1_000_000, rel=0.05)
