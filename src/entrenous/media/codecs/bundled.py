"""Where the codec libraries lie that every wheel of PyAV carries.

The library beside PyAV's other shared libraries comes first, so that one process never loads two different ones; then
that of the system.
"""

from __future__ import annotations

import ctypes.util
from collections.abc import Iterator
from pathlib import Path

import av

_WHERE_WHEELS_KEEP_THEM = (
    ("../av.libs", "lib{name}-*.so*"),  # Linux (auditwheel)
    (".dylibs", "lib{name}*.dylib"),  # macOS (delocate)
    ("../av.libs", "*{name}-*.dll"),  # Windows (delvewheel)
)


def candidates(name: str) -> Iterator[str]:
    """Paths and names to load a library from, the likeliest first.

    Args:
        name: of the library, without `lib` and without an ending: "opus", "vpx".
    """
    package = Path(av.__file__).parent
    for folder, pattern in _WHERE_WHEELS_KEEP_THEM:
        yield from (str(path) for path in sorted((package / folder).glob(pattern.format(name=name))))
    system = ctypes.util.find_library(name)
    if system is not None:
        yield system
