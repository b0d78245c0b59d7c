"""Ctrl-C and SIGTERM end the work, gently while a call is on."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from entrenous.cli.exits import ExitCode
from entrenous.cli.interrupt import Interrupt, run


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, ExitCode.INTERRUPTED),
        (signal.SIGTERM, ExitCode.TERMINATED),
        (signal.SIGHUP, ExitCode.TERMINATED),
    ],
)
def test_a_signal_cancels_what_waits(number: signal.Signals, code: ExitCode) -> None:
    cleaned_up = []

    async def work(_: Interrupt) -> ExitCode:
        os.kill(os.getpid(), number)
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up.append(True)
        return ExitCode.OK

    assert run(work) is code
    assert cleaned_up == [True]


def test_a_call_is_told_and_not_cancelled() -> None:
    async def work(interrupt: Interrupt) -> ExitCode:
        with interrupt.gently():
            os.kill(os.getpid(), signal.SIGINT)
            await interrupt.wait()
            return interrupt.code or ExitCode.OK

    assert run(work) is ExitCode.INTERRUPTED


def test_a_second_signal_cancels_a_call_too() -> None:
    async def work(interrupt: Interrupt) -> ExitCode:
        with interrupt.gently():
            os.kill(os.getpid(), signal.SIGTERM)
            await interrupt.wait()
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        return ExitCode.OK

    assert run(work) is ExitCode.TERMINATED


def test_a_signal_during_a_call_is_known_after_it_and_disturbs_nothing() -> None:
    async def work(interrupt: Interrupt) -> ExitCode:
        with interrupt.gently():
            os.kill(os.getpid(), signal.SIGINT)
            await interrupt.wait()
        await asyncio.sleep(0)  # closing the node takes its turns of the loop
        assert interrupt.code is not None
        return interrupt.code

    assert run(work) is ExitCode.INTERRUPTED


def test_work_that_ends_by_itself_gives_its_own_code() -> None:
    async def work(_: Interrupt) -> ExitCode:
        return ExitCode.BUSY

    assert run(work) is ExitCode.BUSY


def test_being_cancelled_by_anything_else_is_no_exit_code() -> None:
    async def work(_: Interrupt) -> ExitCode:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run(work)


def test_a_signal_that_is_ignored_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what nohup does

    async def work(_: Interrupt) -> ExitCode:
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0)
        return ExitCode.OK

    try:
        assert run(work) is ExitCode.OK
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_handlers_are_gone_afterwards() -> None:
    async def work(_: Interrupt) -> ExitCode:
        return ExitCode.OK

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    run(work)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
