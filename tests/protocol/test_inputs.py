"""Inputs are values that name their call."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import get_args

import pytest

from entrenous.protocol.inputs import CallInput, Device, InnerInput, Leg, MediaOpened, NodeInput


def test_every_input_of_a_call_begins_with_its_id() -> None:
    for kind in (*get_args(CallInput), *get_args(InnerInput)):
        assert fields(kind)[0].name == "call", kind
    assert all(not fields(kind) for kind in get_args(NodeInput))


def test_inputs_cannot_be_changed() -> None:
    fact = MediaOpened(b"c" * 16)
    with pytest.raises(FrozenInstanceError):
        fact.call = b"d" * 16  # type: ignore[misc]  # that it is refused is what is tested


def test_legs_are_ordered_by_generation() -> None:
    device = Device("bob@x", "b1")
    assert sorted([Leg(device, 2), Leg(device, 0), Leg(device, 1)])[-1].generation == 2
