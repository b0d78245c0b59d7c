"""Every action of the table has its function, and takes what the table gives it."""

from __future__ import annotations

import inspect

from entrenous.protocol.actions import ACTIONS, perform
from entrenous.protocol.call import CallMachine
from entrenous.protocol.deadlines import Timeouts
from entrenous.protocol.inputs import Device, Dialled
from entrenous.protocol.outputs import FetchKeys, StateChanged
from entrenous.protocol.states import Action, CallState, Role


def test_every_action_has_one_function() -> None:
    assert set(ACTIONS) == set(Action)
    assert all(len(inspect.signature(function).parameters) == 2 for function in ACTIONS.values())


def test_an_action_works_on_a_copy_and_tells_the_change_last() -> None:
    call = CallMachine(b"c" * 16, Role.CALLER, Device("anna@x", "a1"), "bob@x", Timeouts())
    after, outputs = perform(Action.FETCH_KEYS, call, Dialled(call.id, "bob@x"), 0.0)
    assert call.state is CallState.NEW
    assert after.state is CallState.PREPARING
    assert [type(output) for output in outputs] == [FetchKeys, StateChanged]
