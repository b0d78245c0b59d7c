"""Durations that make sense, and named deadlines as values."""

from __future__ import annotations

from dataclasses import fields
from enum import StrEnum

import pytest

from entrenous.protocol.deadlines import Deadlines, Timeouts


class Name(StrEnum):
    TEA = "tea"
    CAKE = "cake"


def test_deadlines_come_in_order_and_replace_each_other() -> None:
    deadlines = Deadlines[Name]().set(Name.TEA, 5.0).set(Name.CAKE, 3.0)
    assert deadlines.next() == 3.0
    assert deadlines.first_due(2.9) is None
    assert deadlines.first_due(3.0) is Name.CAKE
    assert deadlines.set(Name.CAKE, 9.0).first_due(5.0) is Name.TEA
    assert deadlines.set(Name.CAKE, 9.0).at(Name.CAKE) == 9.0


def test_deadlines_are_cancelled_by_name() -> None:
    deadlines = Deadlines[Name]().set(Name.TEA, 5.0)
    assert deadlines.cancel(Name.CAKE) is deadlines
    assert deadlines.cancel(Name.CAKE, Name.TEA) == Deadlines()
    assert Deadlines[Name]().next() is None
    assert deadlines.at(Name.CAKE) is None


def test_setting_leaves_the_old_value_as_it_was() -> None:
    before = Deadlines[Name]().set(Name.TEA, 5.0)
    before.set(Name.TEA, 1.0)
    assert before.next() == 5.0


@pytest.mark.parametrize("name", [field.name for field in fields(Timeouts)])
@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan")])
def test_every_timeout_is_positive(name: str, wrong: float) -> None:
    with pytest.raises(ValueError, match=name):
        Timeouts(**{name: wrong})


def test_an_ended_call_is_remembered_for_longer_than_its_ring_is_fresh() -> None:
    times = Timeouts()
    assert times.tombstone > 2 * times.ring, "its clock may be wrong by as much as a ring stays fresh"
