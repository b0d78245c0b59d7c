"""Surroundings: the node is what a call needs around it, and what the switchboard tells of calls."""

from __future__ import annotations

import inspect

import pytest

from entrenous import Node
from entrenous.surroundings import Surroundings
from entrenous.switchboard import SwitchboardUser


@pytest.mark.parametrize("protocol", [Surroundings, SwitchboardUser])
def test_the_node_has_every_method_that_calls_need(protocol: type) -> None:
    for name, wanted in vars(protocol).items():
        if name.startswith("_") or not (inspect.isfunction(wanted) or isinstance(wanted, property)):
            continue
        given = inspect.getattr_static(Node, name)
        if isinstance(wanted, property):
            assert isinstance(given, property), name
        else:
            assert list(inspect.signature(given).parameters) == list(inspect.signature(wanted).parameters), name
            assert inspect.iscoroutinefunction(given) == inspect.iscoroutinefunction(wanted), name
