"""DeskRunner: facts go in one by one, orders come out in order, deadlines pass by themselves."""

from __future__ import annotations

import asyncio

import pytest

from entrenous import LocalProtocolError, Timeouts
from entrenous.desk_runner import DeskRunner
from entrenous.protocol.desk import Desk
from entrenous.protocol.inputs import Device, Dialled, HungUp, KeysReady
from entrenous.protocol.outputs import FetchKeys, Output, SendEnd, SendRing, StateChanged
from entrenous.protocol.states import CallState, EndReason

ME, BOB = Device("alice@calls.example.org", "a" * 16), Device("bob@calls.example.org", "b" * 16)
CALL = b"c" * 16


async def test_a_fact_reported_while_orders_are_carried_out_waits_for_the_last_of_them() -> None:
    done: list[Output] = []

    def carry_out(output: Output) -> None:
        done.append(output)
        if isinstance(output, FetchKeys):
            runner.report(KeysReady(CALL, (BOB,)))  # an answer that is there at once

    runner = DeskRunner(Desk(ME), carry_out)
    runner.report(Dialled(CALL, BOB.address))
    kinds = [type(output) for output in done]
    assert kinds == [FetchKeys, StateChanged, SendRing, StateChanged]
    assert runner.live is not None
    assert runner.live.state is CallState.INVITING
    runner.stop()


async def test_a_deadline_passes_by_itself() -> None:
    ended: asyncio.Future[StateChanged] = asyncio.get_running_loop().create_future()

    def carry_out(output: Output) -> None:
        if isinstance(output, StateChanged) and output.new is CallState.ENDED:
            ended.set_result(output)

    runner = DeskRunner(Desk(ME, Timeouts(ring=0.01)), carry_out)
    runner.report(Dialled(CALL, BOB.address))
    runner.report(KeysReady(CALL, (BOB,)))
    async with asyncio.timeout(60.0):
        assert (await ended).reason is EndReason.UNANSWERED
    assert runner.live is None


async def test_what_our_own_caller_does_wrongly_raises_and_changes_nothing() -> None:
    done: list[Output] = []
    runner = DeskRunner(Desk(ME), done.append)
    with pytest.raises(LocalProtocolError, match="no such call"):
        runner.report(HungUp(CALL))
    assert done == []
    runner.report(Dialled(CALL, BOB.address))
    runner.report(KeysReady(CALL, (BOB,)))
    runner.report(HungUp(CALL))
    assert isinstance(done[-2], SendEnd)
    runner.report(KeysReady(CALL, (BOB,)))
    assert runner.dropped == 1
    runner.stop()
