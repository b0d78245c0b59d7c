"""Groups of packets and the steps between them."""

from __future__ import annotations

import pytest

from entrenous.media.congestion.groups import MAX_REORDERED, ArrivalGroups, Step


def steps(packets: list[tuple[float, float]]) -> list[Step]:
    groups = ArrivalGroups()
    return [step for sent, arrived in packets if (step := groups.add(sent, arrived)) is not None]


def test_packets_that_leave_together_are_one_group() -> None:
    (step,) = steps([(0.000, 1.000), (0.004, 1.010), (0.020, 1.025), (0.024, 1.030), (0.040, 1.050)])
    assert (step.sent, step.arrived, step.at) == pytest.approx((0.020, 0.020, 1.030))


def test_packets_that_a_network_releases_together_are_one_group() -> None:
    packets = [(0.000, 1.000), (0.020, 1.060), (0.040, 1.061), (0.060, 1.062), (0.080, 1.085), (0.100, 1.105)]
    first, second = steps(packets)
    assert (first.sent, first.arrived) == pytest.approx((0.060, 0.062))
    assert (second.sent, second.arrived) == pytest.approx((0.020, 0.023))


def test_a_queue_shows_as_arrivals_further_apart_than_departures() -> None:
    found = steps([(number * 0.01, 5.0 + number * 0.015) for number in range(10)])
    assert [step.sent for step in found] == pytest.approx([0.01] * 8)
    assert [step.arrived for step in found] == pytest.approx([0.015] * 8)


def test_what_was_overtaken_belongs_to_no_group() -> None:
    assert len(steps([(0.02, 1.0), (0.00, 1.01), (0.04, 1.02), (0.06, 1.04)])) == 1


def test_after_many_groups_out_of_order_the_count_begins_anew() -> None:
    groups = ArrivalGroups()
    groups.add(0.0, 50.0)
    assert all(groups.add(0.1 * number, 1.0 + 0.1 * number) is None for number in range(1, MAX_REORDERED + 2))
    assert groups.add(2.0, 3.0) is not None
