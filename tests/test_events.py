"""Events and notices: plain, frozen, comparable facts."""

from __future__ import annotations

import dataclasses
import typing

import pytest

from entrenous import DeviceChange, events


@pytest.mark.parametrize("union", [events.CallEvent, events.Notice])
def test_every_event_is_a_frozen_value(union: object) -> None:
    kinds = typing.get_args(union)
    assert kinds
    for kind in kinds:
        assert dataclasses.is_dataclass(kind)
        assert kind.__dataclass_params__.frozen, kind  # type: ignore[attr-defined]
        assert kind.__doc__


def test_every_event_of_the_module_is_in_a_union() -> None:
    told = {*typing.get_args(events.CallEvent), *typing.get_args(events.Notice), events.CallOutcome}
    told.remove(DeviceChange)  # comes from the sound card as it is
    defined = {
        kind for kind in vars(events).values() if dataclasses.is_dataclass(kind) and kind.__module__ == events.__name__
    }
    assert defined == told


def test_an_event_compares_by_what_it_says() -> None:
    assert events.Active("direct") == events.Active("direct") != events.Active("relay")
