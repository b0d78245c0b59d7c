"""Memory that tells nothing of what went through it."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

LOOK = """
import ctypes, resource, sys
from entrenous_signaling.private_memory import keep_memory_private

if sys.argv[1] == "private":
    keep_memory_private()
blocks = [bytes([number]) * 4096 for number in range(1, 9)]
places = [id(block) for block in blocks]
del blocks
left = sum(ctypes.string_at(place + 64, 2048).count(bytes([number])) for number, place in enumerate(places, 1))
print(left, *resource.getrlimit(resource.RLIMIT_CORE))
"""
"""Says how much of what was freed is still there, and how large a core dump may be."""

SET_ASIDE = """
import contextlib, ctypes
from entrenous_signaling.private_memory import keep_memory_private, unfilled

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def filled(within):
    with within:
        block = libc.malloc(256 * 1024)
    there = sum(ctypes.string_at(block + 4096, 4096)) > 0
    libc.free(block)
    return int(there)

ordinary = filled(unfilled())
keep_memory_private()
print(ordinary, *(filled(within) for within in (unfilled(), contextlib.nullcontext(), unfilled(), unfilled())))
"""
"""Says whether large blocks are filled when they are set aside."""


def look(how: str) -> list[int]:
    command = [sys.executable, "-c", LOOK, how]
    return [int(word) for word in subprocess.run(command, capture_output=True, check=True).stdout.split()]


def test_no_core_is_dumped() -> None:
    assert look("private")[1:] == [0, 0]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc is what overwrites freed memory")
def test_what_is_freed_is_overwritten() -> None:
    assert look("ordinary")[0] > 0
    assert look("private")[0] == 0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc is what fills memory")
def test_large_blocks_can_be_set_aside_without_being_there() -> None:
    said = subprocess.run([sys.executable, "-c", SET_ASIDE], capture_output=True, check=True).stdout.split()
    assert said == [b"0", b"0", b"1", b"0", b"0"], "also where one was freed before"
