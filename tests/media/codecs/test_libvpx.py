"""libvpx is taken when its structures are ours, and refused with a clear error when they are not."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest

from entrenous.errors import CodecError
from entrenous.media.codecs import libvpx


@pytest.fixture
def reload() -> Iterator[None]:
    libvpx.load.cache_clear()
    yield
    libvpx.load.cache_clear()


def test_the_defaults_of_vp9_stand_where_the_structure_has_them() -> None:
    library = libvpx.load()
    defaults = library.defaults(library.interface("vp9"))
    assert (defaults.g_threads, defaults.g_w, defaults.g_h, defaults.g_lag_in_frames) == (8, 320, 240, 25)
    assert (defaults.rc_undershoot_pct, defaults.rc_overshoot_pct, defaults.rc_2pass_vbr_maxsection_pct) == (
        25,
        25,
        2000,
    )
    assert (defaults.kf_max_dist, defaults.ss_number_layers, defaults.ts_number_layers) == (128, 1, 1)


def test_an_error_says_what_failed_and_why() -> None:
    with pytest.raises(CodecError, match="a test: .*ABI version mismatch"):
        libvpx.load().check(3, "a test")


@pytest.mark.usefixtures("reload")
@pytest.mark.parametrize("paths", [[], ["no-such-file.so"]], ids=["nowhere", "does not load"])
def test_a_missing_library_is_reported(paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvpx, "candidates", lambda _: iter(paths))
    with pytest.raises(CodecError, match="not found"):
        libvpx.load()


@pytest.mark.usefixtures("reload")
def test_another_version_of_the_interface_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvpx, "ABI_VERSIONS", (35, 40))
    with pytest.raises(CodecError, match="another interface"):
        libvpx.load()


@pytest.mark.usefixtures("reload")
@pytest.mark.parametrize("change", ["missing", "shorter", "moved"])
def test_another_layout_is_refused(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = list(libvpx.Configuration._fields_)
    if change == "missing":
        fields = [field for field in fields if field[0] != "rc_scaled_width"]
    elif change == "shorter":
        fields[-1] = ("vizier_factors", libvpx.Rational * 14)
    else:
        fields[3], fields[4] = fields[4], fields[3]
        fields[19], fields[20] = fields[20], fields[19]
    other = type("Other", (ctypes.Structure,), {"_fields_": fields})
    monkeypatch.setattr(libvpx, "Configuration", other)
    with pytest.raises(CodecError, match="another interface"):
        libvpx.load()
