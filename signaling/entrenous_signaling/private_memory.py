"""What went through the memory of the server does not stay in it: no core dumps, and freed blocks are overwritten.

Python hands blocks of more than half a kilobyte to the C library, and glibc overwrites those of more than a kilobyte
when they are freed, if it is told to: every frame of a message and every sealed body is one. It costs less than can be
measured. Smaller pieces (a name, an id) stay where they were until the place is used again.
"""

from __future__ import annotations

import contextlib
import ctypes
import resource
from typing import Final

_M_PERTURB: Final = -6  # of <malloc.h>
_FILL: Final = 0xA5


def keep_memory_private() -> None:
    """Write no core dump, whoever sends which signal, and overwrite what is freed where the C library is glibc."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(AttributeError, OSError):  # other C libraries have no such thing
        ctypes.CDLL(None).mallopt(_M_PERTURB, _FILL)
