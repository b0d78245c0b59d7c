"""What went through the memory of the server does not stay in it: no core dumps, and freed blocks are overwritten.

Python hands blocks of more than half a kilobyte to the C library, and glibc overwrites those of more than a kilobyte
when they are freed, if it is told to: every frame of a message and every sealed body is one. It costs less than can be
measured. Smaller pieces (a name, an id) stay where they were until the place is used again.
"""

from __future__ import annotations

import contextlib
import ctypes
import resource
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

_M_MMAP_THRESHOLD: Final = -3  # of <malloc.h>, as the next
_M_PERTURB: Final = -6
_FILL: Final = 0xA5
_OWN_PAGES_BYTES: Final = 128 * 1024
"""Blocks from here on have pages of their own, which are given back when they are freed; glibc would raise it."""

_is_kept = False


def keep_memory_private() -> None:
    """Write no core dump, whoever sends which signal, and overwrite what is freed where the C library is glibc."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    global _is_kept
    _is_kept = True
    _tell_malloc(_M_PERTURB, _FILL)
    _tell_malloc(_M_MMAP_THRESHOLD, _OWN_PAGES_BYTES)


@contextlib.contextmanager
def unfilled() -> Iterator[None]:
    """Let go of blocks that are filled when they are set aside, and so are there before anybody uses them.

    That is the other half of how glibc overwrites what is freed: nothing private may be freed within, nor anything be
    awaited. It does nothing where memory is not kept private.
    """
    if not _is_kept:
        yield
        return
    _tell_malloc(_M_PERTURB, 0)
    try:
        yield
    finally:
        _tell_malloc(_M_PERTURB, _FILL)


def _tell_malloc(option: int, value: int) -> None:
    mallopt = _mallopt()
    if mallopt is not None:
        mallopt(option, value)


@cache
def _mallopt() -> Callable[[int, int], int] | None:
    """What tells glibc, kept since to look it up anew takes longer and leaves garbage; other C libraries have none."""
    with contextlib.suppress(AttributeError, OSError):
        found: Callable[[int, int], int] = ctypes.CDLL(None).mallopt
        return found
    return None
