"""Copies are our own, converted and fitted; the picture they come from stays as it was."""

from __future__ import annotations

import av
import numpy as np
import pytest

from entrenous.media.pictures import PictureConverter, fitted_copy, own_copy, pixels


def grey(width: int, height: int, luma: int, form: str = "yuv420p") -> av.VideoFrame:
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, value in zip(frame.planes, (luma, 128, 128), strict=True):
        pixels(plane)[:] = value
    return frame if form == "yuv420p" else frame.reformat(format=form)


@pytest.mark.parametrize("make", [own_copy, fitted_copy])
def test_a_copy_shares_no_memory(make: object) -> None:
    assert callable(make)
    original = grey(66, 50, 100)
    copy = make(original, 66, 50)
    pixels(copy.planes[0])[:] = 7
    copy.pts = 5
    assert np.all(pixels(original.planes[0]) == 100)
    assert original.pts is None


@pytest.mark.parametrize("form", ["yuv420p", "rgb24", "bgra"])
def test_other_sizes_and_formats_become_ours(form: str) -> None:
    copy = own_copy(grey(64, 64, 100, form), 128, 32)
    assert (copy.width, copy.height, copy.format.name) == (128, 32, "yuv420p")
    assert np.all(np.abs(pixels(copy.planes[0]).astype(int) - 100) <= 2)


@pytest.mark.parametrize(
    ("size", "inner"),
    [((64, 64), (slice(0, 90), slice(35, 125))), ((200, 50), (slice(25, 65), slice(0, 160)))],
    ids=["bars at the sides", "bars above and below"],
)
def test_a_picture_of_another_shape_is_fitted_on_black(size: tuple[int, int], inner: tuple[slice, slice]) -> None:
    luma = pixels(fitted_copy(grey(*size, 200), 160, 90).planes[0]).copy()
    assert luma.shape == (90, 160)
    assert np.all(np.abs(luma[inner][4:-4, 4:-4].astype(int) - 200) <= 2)
    luma[inner] = 16
    edge = np.abs(luma.astype(int) - 16) > 0
    assert edge.mean() < 0.05


def test_padding_of_lines_is_not_part_of_the_picture() -> None:
    frame = av.VideoFrame(66, 50, "yuv420p")
    assert [pixels(plane).shape for plane in frame.planes] == [(50, 66), (25, 33), (25, 33)]


def test_a_picture_that_fits_is_read_where_it_lies() -> None:
    original = grey(66, 50, 100)
    assert PictureConverter().readable(original, 66, 50) is original


@pytest.mark.parametrize("form", ["yuv420p", "rgb24", "bgra"])
def test_a_converter_serves_pictures_of_changing_sizes_and_formats(form: str) -> None:
    converter = PictureConverter()
    for width, height in ((64, 64), (32, 96), (64, 64)):
        original = grey(width, height, 100, form)
        before = original.to_ndarray().tobytes()
        readable = converter.readable(original, 128, 32)
        assert (readable.width, readable.height, readable.format.name) == (128, 32, "yuv420p")
        assert readable.planes[1].line_size == readable.planes[2].line_size
        assert np.all(np.abs(pixels(readable.planes[0]).astype(int) - 100) <= 2)
        assert original.to_ndarray().tobytes() == before
