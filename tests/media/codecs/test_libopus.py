"""The binding of libopus: found once, with signatures, and with errors that say what is wrong."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest

from entrenous.errors import CodecError
from entrenous.media.codecs import libopus
from entrenous.media.codecs.bundled import candidates


@pytest.fixture
def fresh_load() -> Iterator[None]:
    libopus.load.cache_clear()
    yield
    libopus.load.cache_clear()


def test_the_library_is_loaded_once() -> None:
    assert libopus.load() is libopus.load()


def test_handles_are_not_cut_to_32_bits() -> None:
    assert libopus.load().opus_encoder_create.restype is ctypes.c_void_p
    assert libopus.load().opus_decoder_create.restype is ctypes.c_void_p


def test_an_error_carries_the_words_of_libopus() -> None:
    with pytest.raises(CodecError, match="decoding: corrupted stream"):
        libopus.check(-4, "decoding")


def test_a_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch, fresh_load: None) -> None:
    monkeypatch.setattr(libopus, "candidates", lambda _: iter(()))
    with pytest.raises(CodecError, match="pip install av"):
        libopus.load()


def test_a_library_that_does_not_load_is_passed_over(monkeypatch: pytest.MonkeyPatch, fresh_load: None) -> None:
    good = next(candidates("opus"))
    monkeypatch.setattr(libopus, "candidates", lambda _: iter(["/nowhere/libopus.so", good]))
    assert libopus.load().opus_strerror(0) == b"success"
