"""Single keys from a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import os
import pty
import termios
from collections.abc import Iterator

import pytest

from entrenous.cli.keys import MAX_WAITING, Keys


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The keyboard's end and the program's end."""
    keyboard, program = pty.openpty()
    yield keyboard, program
    os.close(program)
    os.close(keyboard)


async def test_keys_come_without_enter_and_the_terminal_is_given_back(terminal: tuple[int, int]) -> None:
    keyboard, program = terminal
    before = termios.tcgetattr(program)
    with Keys(program) as keys:
        local = termios.tcgetattr(program)[3]
        assert not local & termios.ECHO
        assert not local & termios.ICANON
        assert local & termios.ISIG  # Ctrl-C stays a signal
        os.write(keyboard, b"mH")
        assert [await keys.next(), await keys.next()] == ["m", "h"]
    assert termios.tcgetattr(program) == before


async def test_the_terminal_is_given_back_after_an_error_too(terminal: tuple[int, int]) -> None:
    _, program = terminal
    before = termios.tcgetattr(program)
    with pytest.raises(RuntimeError), Keys(program):
        raise RuntimeError
    assert termios.tcgetattr(program) == before


async def test_more_keys_than_anybody_reads_are_dropped(terminal: tuple[int, int]) -> None:
    keyboard, program = terminal
    with Keys(program) as keys:
        os.write(keyboard, b"x" * (MAX_WAITING + 5))
        for _ in range(MAX_WAITING):
            assert await keys.next() == "x"
        os.write(keyboard, b"h")
        async with asyncio.timeout(60):
            while await keys.next() != "h":
                pass
