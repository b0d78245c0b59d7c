"""libx264 is taken when its structures are ours, and refused with a clear error when they are not."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest

from entrenous.errors import CodecError
from entrenous.media.codecs import libx264


@pytest.fixture
def reload() -> Iterator[None]:
    libx264.load.cache_clear()
    yield
    libx264.load.cache_clear()


def test_structures_lie_as_the_header_has_them() -> None:
    assert libx264.Parameters.width.offset == 28
    assert libx264.Picture.image.offset == 40
    assert libx264.Picture.properties_in.offset == 96
    assert libx264.Picture.opaque.offset == 232
    assert (ctypes.sizeof(libx264.NalUnit), libx264.NalUnit.payload.offset) == (40, 24)


@pytest.mark.parametrize(("name", "value"), [("no-such-setting", 1), ("bitrate", "much")])
def test_a_setting_that_is_refused_raises(name: str, value: object) -> None:
    library = libx264.load()
    with pytest.raises(CodecError, match=name):
        library.set(library.parameters(), name, value)


def test_an_unknown_preset_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    library = libx264.load()
    monkeypatch.setattr(libx264, "PRESET", b"instant")
    with pytest.raises(CodecError, match="preset"):
        library.parameters()


@pytest.mark.usefixtures("reload")
@pytest.mark.parametrize("paths", [[], ["no-such-file.so"]], ids=["nowhere", "does not load"])
def test_a_missing_library_is_reported(paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libx264, "candidates", lambda _: iter(paths))
    with pytest.raises(CodecError, match="not found"):
        libx264.load()


@pytest.mark.usefixtures("reload")
def test_another_build_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libx264, "BUILDS", (163,))
    with pytest.raises(CodecError, match="another interface"):
        libx264.load()


@pytest.mark.usefixtures("reload")
def test_another_layout_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = [field for field in libx264.Parameters._fields_ if field[0] != "cpu_independent"]
    monkeypatch.setattr(libx264, "Parameters", type("Other", (ctypes.Structure,), {"_fields_": fields}))
    with pytest.raises(CodecError, match="another interface"):
        libx264.load()
