"""What delay would have been enough, told from arrivals."""

from __future__ import annotations

import pytest

from entrenous.media.arrivals import ArrivalWindow


def filled(transits: list[float], spacing: float = 0.02, length: float = 10.0) -> ArrivalWindow:
    window = ArrivalWindow(length)
    for number, transit in enumerate(transits):
        window.add(number * spacing + 0.001, transit)
    return window


def test_nothing_is_needed_before_the_first() -> None:
    window = ArrivalWindow(10)
    assert window.is_empty
    assert window.needed() == 0


def test_an_even_stream_needs_nothing_whatever_its_origin() -> None:
    for origin in (-5000.0, 0.0, 70.0):
        window = filled([origin] * 100)
        assert (window.fastest, window.needed()) == (origin, 0)


def test_the_slowest_counts_while_there_are_few() -> None:
    assert filled([1.0, 1.0, 1.06, 1.0]).needed() == pytest.approx(0.06)


def test_one_in_fifty_may_be_later() -> None:
    assert filled([0.0] * 99 + [0.3]).needed() == 0
    assert filled([0.0] * 95 + [0.3] * 5).needed() == pytest.approx(0.3)


def test_a_burst_counts_once() -> None:
    window = filled([0.0] * 200)
    for number in range(30):
        window.add(4.7, 0.6 - number * 0.02)
    assert window.needed() == 0


def test_packets_in_regular_batches_need_the_whole_batch() -> None:
    window = ArrivalWindow(10)
    for batch in range(40):
        for number in range(5):
            window.add(batch * 0.1 + 0.001, 0.08 - number * 0.02)
    assert window.needed() == pytest.approx(0.08)


def test_what_is_older_than_the_window_is_forgotten() -> None:
    window = filled([0.0] * 50 + [0.1] * 100, length=1.0)
    assert window.fastest == pytest.approx(0.1)
    assert window.needed() == 0
    assert len(window._turns) == len(window._fastest) == len(window._slowest) <= 51
