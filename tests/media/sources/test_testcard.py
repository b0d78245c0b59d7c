"""The card moves, tells its number at any size, and flashes exactly when it beeps."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from entrenous.errors import LocalProtocolError
from entrenous.media.pictures import own_copy, pixels
from entrenous.media.sources import TestCardSource
from entrenous.media.sources.testcard import read_frame_number, shows_flash
from entrenous.media.streams import Picture
from lab.recordings import Recording
from world.media_clock import SimulatedClock


async def pictures(source: TestCardSource, count: int) -> list[Picture]:
    await source.start()
    assert source.video is not None
    found = [await source.video.read() for _ in range(count)]
    return [picture for picture in found if picture is not None]


@pytest.mark.parametrize("size", [(64, 48), (320, 240), (640, 360), (1280, 720)])
async def test_every_picture_tells_its_number(size: tuple[int, int]) -> None:
    shown = await pictures(TestCardSource(*size, 25, clock=SimulatedClock()), 40)
    assert [read_frame_number(picture.frame) for picture in shown] == list(range(40))
    assert all((picture.frame.width, picture.frame.height) == size for picture in shown)
    assert all(picture.frame.format.name == "yuv420p" for picture in shown)


async def test_the_number_survives_scaling_and_colour_conversion() -> None:
    shown = await pictures(TestCardSource(clock=SimulatedClock()), 20)
    frame = shown[13].frame
    assert read_frame_number(own_copy(frame, 320, 180)) == 13
    assert read_frame_number(own_copy(frame, 1280, 720)) == 13
    assert read_frame_number(frame.reformat(format="rgb24")) == 13


async def test_what_is_no_card_has_no_number() -> None:
    (picture,) = await pictures(TestCardSource(clock=SimulatedClock()), 1)
    for luma in (16, 128, 235):
        pixels(picture.frame.planes[0])[:] = luma
        assert read_frame_number(picture.frame) is None


async def test_no_two_pictures_in_a_row_are_alike() -> None:
    shown = await pictures(TestCardSource(clock=SimulatedClock()), 60)
    luma = [pixels(picture.frame.planes[0])[:300].astype(int) for picture in shown]
    assert min(np.abs(one - other).mean() for one, other in pairwise(luma)) > 1


async def test_pictures_are_due_at_their_rate_and_late_ones_are_skipped() -> None:
    clock = SimulatedClock()
    source = TestCardSource(fps=10, clock=clock)
    shown = await pictures(source, 5)
    assert [picture.captured_at for picture in shown] == pytest.approx([1000, 1000.1, 1000.2, 1000.3, 1000.4])
    clock.advance(2.05)
    assert source.video is not None
    after = await source.video.read()
    assert after is not None
    assert read_frame_number(after.frame) == 24
    assert after.captured_at == pytest.approx(1002.4)


@pytest.mark.parametrize("fps", [7, 15, 30])
async def test_flash_and_beep_begin_together_every_second(fps: int) -> None:
    source = TestCardSource(320, 240, fps, beep=True, clock=SimulatedClock())
    shown = await pictures(source, 4 * fps)
    sound = TestCardSource(320, 240, fps, beep=True, clock=SimulatedClock())
    await sound.start()
    assert sound.audio is not None
    blocks = [block for block in [await sound.audio.read() for _ in range(200)] if block]
    samples = np.concatenate([block.samples for block in blocks])
    recording = Recording(samples, [(picture.captured_at - 1000, picture.frame) for picture in shown])
    assert recording.flashes() == pytest.approx([1, 2, 3])
    assert recording.beeps() == pytest.approx([1, 2, 3], abs=0.001)
    assert recording.offsets() == pytest.approx([0, 0, 0], abs=0.001)


async def test_without_beep_there_is_neither_sound_nor_flash() -> None:
    source = TestCardSource(fps=10, clock=SimulatedClock())
    assert source.audio is None
    assert not any(shows_flash(picture.frame) for picture in await pictures(source, 30))


@pytest.mark.parametrize("arguments", [(62, 48, 15), (65, 48, 15), (64, 46, 15), (64, 48, 0)])
def test_a_card_that_cannot_be_drawn_is_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(LocalProtocolError):
        TestCardSource(*arguments)
