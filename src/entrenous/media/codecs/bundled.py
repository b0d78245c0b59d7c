"""Where the codec libraries lie that every wheel of PyAV carries.

The library beside PyAV's other shared libraries comes first, so that one process never loads two different ones; then
that of the system.
"""

from __future__ import annotations

import ctypes.util
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import av

from entrenous.errors import CodecError

T = TypeVar("T")

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


def first_fitting(paths: Iterable[str], bind: Callable[[str], T | None], *, absent: str, misfit: str = "") -> T:
    """The first of some libraries that loads and fits.

    Args:
        paths: of `candidates`.
        bind: loads and declares one; None: it is another version than ours. What raises OSError is passed over.
        absent: the sentence for when none loads.
        misfit: the same for when those that load do not fit.

    Raises:
        CodecError: there is none.
    """
    found = False
    for path in paths:
        try:
            library = bind(path)
        except OSError:
            continue
        if library is not None:
            return library
        found = True
    raise CodecError(misfit if found else absent)
