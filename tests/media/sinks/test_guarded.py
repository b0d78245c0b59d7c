"""A sink that breaks is reported once and left alone."""

from __future__ import annotations

import av
import numpy as np

from entrenous.errors import MediaError
from entrenous.media.codecs.base import Samples
from entrenous.media.sinks.guarded import GuardedSink
from lab.calls import KeepingSink


class FillingSink(KeepingSink):
    """Breaks at the second block."""

    def play(self, block: Samples, at: float) -> None:
        super().play(block, at)
        if len(self.heard) == 2:
            raise MediaError("The disk is full.")


async def test_everything_is_passed_on_until_it_breaks() -> None:
    sentences: list[str] = []
    inner = FillingSink()
    sink = GuardedSink(inner, sentences.append)
    await sink.start()
    assert inner.started
    picture = av.VideoFrame(16, 16, "yuv420p")
    sink.show(picture, 0.5)
    for turn in range(5):
        sink.play(np.zeros(960, np.int16), float(turn))
        sink.show(picture, float(turn))
    assert sentences == ["The disk is full."]
    assert ([at for _, at in inner.heard], [at for _, at in inner.seen]) == ([0.0, 1.0], [0.5, 0.0])
    await sink.close()
    assert inner.closed


class BlindSink(KeepingSink):
    def show(self, frame: av.VideoFrame, at: float) -> None:
        raise MediaError("The window is gone.")


def test_a_picture_may_break_it_as_well() -> None:
    sentences: list[str] = []
    sink = GuardedSink(BlindSink(), sentences.append)
    sink.show(av.VideoFrame(16, 16, "yuv420p"), 0.0)
    sink.show(av.VideoFrame(16, 16, "yuv420p"), 0.1)
    assert sentences == ["The window is gone."]


def test_what_is_silenced_hears_and_sees_nothing_until_it_may_again() -> None:
    inner = KeepingSink()
    sink = GuardedSink(inner, [].append)
    picture, block = av.VideoFrame(16, 16, "yuv420p"), np.zeros(960, np.int16)
    for at, sink.silenced in ((0.0, False), (1.0, True), (2.0, False)):
        sink.play(block, at)
        sink.show(picture, at)
        sink.show_screen(picture, at)
    for taken in (inner.heard, inner.seen, inner.screens):
        assert [at for _, at in taken] == [0.0, 2.0]
