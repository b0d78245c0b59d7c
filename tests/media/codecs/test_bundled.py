"""The library of the wheel is tried before that of the system, and nothing else is made up."""

from __future__ import annotations

import ctypes.util
from pathlib import Path

import av
import pytest

from entrenous.media.codecs.bundled import candidates


@pytest.mark.parametrize("name", ["opus", "vpx", "x264"])
def test_the_library_of_the_wheel_comes_first(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes.util, "find_library", lambda asked: f"lib{asked}.so.of.the.system")
    first, *_, last = candidates(name)
    assert Path(first).is_file()
    assert name in Path(first).name
    assert Path(first).resolve().is_relative_to(Path(av.__file__).parent.parent.resolve())
    assert last == f"lib{name}.so.of.the.system"


def test_a_library_that_is_nowhere_has_no_candidates() -> None:
    assert list(candidates("entrenous-no-such-library")) == []
