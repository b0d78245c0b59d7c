"""A moving test card: a picture that is never the same, whose frames can be told apart by machine and by eye.

::

    +--------------------------------------+
    |  0 0 0 4 1 7                  +----+ |   number of the frame      white square: the flash
    |            scrolling pattern  |    | |
    |      O     (every frame moves)+----+ |
    |                                      |
    | #_##_#__####_#_... 32 cells ........ |   the number again: 24 bits, then 8 bits of check sum
    +--------------------------------------+
"""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

from ...errors import LocalProtocolError
from ..codecs.base import BLOCK_SAMPLES, BLOCK_SECONDS, SAMPLE_RATE
from ..pictures import pixels
from ..streams import AudioSource, Picture, SoundBlock, VideoSource
from .timeline import Clock, TimedSource

BEEP_HZ = 1000.0
BEEP_SECONDS = 0.1
"""The beep, which begins with the flash at every full second from the first."""

_CELLS = 32
_NUMBER_BITS = 24
_WHITE, _BLACK = 235, 16

# Rows of the digits 0-9, three cells wide and five high, the left cell in the highest bit.
_DIGITS = (
    (7, 5, 5, 5, 7),
    (2, 6, 2, 2, 7),
    (7, 1, 7, 4, 7),
    (7, 1, 7, 1, 7),
    (5, 5, 7, 1, 1),
    (7, 4, 7, 1, 7),
    (7, 4, 7, 5, 7),
    (7, 1, 2, 2, 2),
    (7, 5, 7, 5, 7),
    (7, 5, 7, 1, 7),
)

Plane = NDArray[np.uint8]


class TestCardSource(TimedSource):
    """A moving picture with a frame counter; with `beep`, a flash and a beep once a second.

    Args:
        width: pixels, even, at least 64.
        height: pixels, even, at least 48.
        fps: pictures a second.
        beep: flash the picture and beep in the sound at every full second, so that the offset between the two can
            be measured at the far end; without it there is no sound.
        clock: real time unless given.

    Raises:
        LocalProtocolError: a size or rate that cannot be drawn.
    """

    __test__ = False  # its name begins with "Test", which is what pytest collects by

    def __init__(
        self, width: int = 640, height: int = 360, fps: int = 15, *, beep: bool = False, clock: Clock | None = None
    ) -> None:
        if width < 64 or height < 48 or width % 2 or height % 2 or fps < 1:
            raise LocalProtocolError(f"a test card needs an even size of at least 64x48, not {width}x{height} at {fps}")
        super().__init__(clock)
        self._video = _CardVideo(self, width, height, fps, flash=beep)
        self._audio = _BeepAudio(self) if beep else None

    @property
    def audio(self) -> AudioSource | None:
        """The beeps, None without them."""
        return self._audio

    @property
    def video(self) -> VideoSource | None:
        """The card."""
        return self._video

    async def open(self) -> None:
        """Nothing is to be opened."""

    async def close(self) -> None:
        """Nothing is to be given back."""


def read_frame_number(frame: av.VideoFrame) -> int | None:
    """The number in the cells at the bottom of a card, at any size and after any codec.

    Returns:
        The number, or None when the cells do not carry their check sum: not a card, or too badly damaged.
    """
    luma = _luma(frame if frame.format.name == "yuv420p" else frame.reformat(format="yuv420p"))
    height, width = luma.shape
    middle = luma[height - _cell_height(height) * 3 // 4 : height - _cell_height(height) // 4]
    bits = 0
    for cell in range(_CELLS):
        left, right = (width * (4 * cell + 1)) // (4 * _CELLS), (width * (4 * cell + 3)) // (4 * _CELLS)
        bits = bits << 1 | int(middle[:, left : max(right, left + 1)].mean() > 128)
    number, check = bits >> 8, bits & 0xFF
    return number if _check_sum(number) == check else None


def shows_flash(frame: av.VideoFrame) -> bool:
    """Whether the white square of a card is lit."""
    luma = _luma(frame if frame.format.name == "yuv420p" else frame.reformat(format="yuv420p"))
    top, bottom, left, right = _square(*luma.shape)
    inner = luma[top + (bottom - top) // 4 : bottom - (bottom - top) // 4, left + (right - left) // 4 : right - 2]
    return bool(inner.mean() > 180)


class _CardVideo:
    """Draws the pictures that are due."""

    def __init__(self, source: TestCardSource, width: int, height: int, fps: int, *, flash: bool) -> None:
        self._source, self._fps, self._flash = source, fps, flash
        self._width, self._height = width, height
        self._next = 0
        self._scroll = _pattern(width, height)
        self._chroma = _chroma(width, height)
        self._digit_cell = max(2, height // 60)
        y, x = np.mgrid[-1 : 1 : (height // 6) * 1j, -1 : 1 : (height // 6) * 1j]
        self._disc: NDArray[np.bool_] = x * x + y * y <= 1

    async def read(self) -> Picture | None:
        """The newest picture that is due."""
        timeline = self._source.timeline
        number = max(self._next, int(timeline.elapsed() * self._fps))
        self._next = number + 1
        captured_at = await timeline.wait_for(number / self._fps)
        return Picture(self._draw(number), captured_at)

    def _draw(self, number: int) -> av.VideoFrame:
        width, height = self._width, self._height
        frame = av.VideoFrame(width, height, "yuv420p")
        luma = _luma(frame)
        shift = 2 * number % width
        luma[:] = self._scroll[:, shift : shift + width]
        self._draw_disc(luma, number)
        for place, digit in enumerate(f"{number % 1_000_000:06d}"):
            self._draw_digit(luma, place, int(digit))
        if self._flash:
            top, bottom, left, right = _square(height, width)
            luma[top:bottom, left:right] = _WHITE if self._is_lit(number) else _BLACK
        luma[height - _cell_height(height) :] = _cells(number, width)
        for plane, colour in zip(frame.planes[1:], self._chroma, strict=True):
            pixels(plane)[:] = colour
        return frame

    def _is_lit(self, number: int) -> bool:
        """Whether this picture lies within a tenth of a second after a full second."""
        return number >= self._fps and number % self._fps < max(1, self._fps // 10)

    def _draw_disc(self, luma: Plane, number: int) -> None:
        size = len(self._disc)
        left = _to_and_fro(5 * number, luma.shape[1] - size)
        top = _to_and_fro(3 * number, luma.shape[0] - size - _cell_height(luma.shape[0]))
        luma[top : top + size, left : left + size][self._disc] = 200

    def _draw_digit(self, luma: Plane, place: int, digit: int) -> None:
        cell = self._digit_cell
        dots = np.array([[row >> 2 & 1, row >> 1 & 1, row & 1] for row in _DIGITS[digit]], np.uint8)
        top, left = 2 * cell, (2 + 4 * place) * cell
        luma[top : top + 5 * cell, left : left + 3 * cell] = np.kron(
            dots * np.uint8(_WHITE - _BLACK) + np.uint8(_BLACK), np.ones((cell, cell), np.uint8)
        )


class _BeepAudio:
    """Silence, and a beep at every full second from the first."""

    def __init__(self, source: TestCardSource) -> None:
        self._source = source
        self._next_block = 0

    async def read(self) -> SoundBlock | None:
        """The next block when it is due."""
        number = self._source.timeline.block_in_time(self._next_block)
        self._next_block = number + 1
        captured_at = await self._source.timeline.wait_for(number * BLOCK_SECONDS)
        moments = np.arange(number * BLOCK_SAMPLES, (number + 1) * BLOCK_SAMPLES) / SAMPLE_RATE
        beeping = (moments >= 1) & (moments % 1 < BEEP_SECONDS)
        wave = np.where(beeping, np.sin(2 * np.pi * BEEP_HZ * moments), 0.0)
        return SoundBlock(np.rint(wave * 12_000).astype(np.int16), captured_at)


def _luma(frame: av.VideoFrame) -> Plane:
    """The brightness of a yuv420p frame as an array that shares its memory."""
    return pixels(frame.planes[0])


def _pattern(width: int, height: int) -> Plane:
    """A soft pattern that repeats after `width`, twice as wide, of which each picture shows a window."""
    y, x = np.mgrid[0:height, 0 : 2 * width]
    turn = 2 * np.pi * x / width
    wave = np.sin(3 * turn) * np.cos(y * 12 / height) + 0.5 * np.sin(11 * turn + y * 25 / height)
    pattern: Plane = (120 + 45 * wave).astype(np.uint8)
    return pattern


def _chroma(width: int, height: int) -> tuple[Plane, Plane]:
    """Eight bars of colour, as soft as the rest so that they cost few bits."""
    bars = (np.arange(width // 2) * 8 // (width // 2)) / 7 * np.pi
    rows = np.ones((height // 2, 1))
    return (128 + 50 * np.cos(bars) * rows).astype(np.uint8), (128 + 50 * np.sin(2 * bars) * rows).astype(np.uint8)


def _cells(number: int, width: int) -> Plane:
    """One row of the cells that carry `number`."""
    bits = (number % (1 << _NUMBER_BITS)) << 8 | _check_sum(number % (1 << _NUMBER_BITS))
    values = [_WHITE if bits >> (_CELLS - 1 - cell) & 1 else _BLACK for cell in range(_CELLS)]
    row: Plane = np.array(values, np.uint8)[np.arange(width) * _CELLS // width]
    return row


def _check_sum(number: int) -> int:
    """Eight bits over the three bytes of a number; a row of one colour never carries its own."""
    return (number ^ number >> 8 ^ number >> 16 ^ 0xA5) & 0xFF


def _cell_height(height: int) -> int:
    return max(4, height // 12)


def _square(height: int, width: int) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of the square that flashes."""
    side = height // 4
    return height // 12, height // 12 + side, width - side - width // 20, width - width // 20


def _to_and_fro(distance: int, span: int) -> int:
    """Where something is that has moved so far between two walls."""
    return span - abs(distance % (2 * span) - span) if span > 0 else 0
