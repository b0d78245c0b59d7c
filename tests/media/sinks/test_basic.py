"""Several sinks behave as one; nothing is kept by the one that keeps nothing."""

from __future__ import annotations

import av
import numpy as np
import pytest

from entrenous.errors import MediaError, MediaFileError
from entrenous.media.codecs.base import Samples
from entrenous.media.sinks import NullSink, TeeSink


class Noted:
    """Notes what it is told, and fails where it is told to."""

    def __init__(self, *, fails_at: str = "") -> None:
        self.calls: list[str] = []
        self._fails_at = fails_at

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if call == self._fails_at:
            raise MediaFileError(f"{call} failed")

    async def start(self) -> None:
        self._note("start")

    def play(self, block: Samples, at: float) -> None:
        self._note(f"play {at}")

    def show(self, frame: av.VideoFrame, at: float) -> None:
        self._note(f"show {at}")

    def show_screen(self, frame: av.VideoFrame, at: float) -> None:
        self._note(f"screen {at}")

    async def close(self) -> None:
        self._note("close")


async def test_all_get_everything() -> None:
    sinks = [Noted(), Noted()]
    tee = TeeSink(*sinks, NullSink())
    await tee.start()
    tee.play(np.zeros(960, np.int16), 1.0)
    tee.show(av.VideoFrame(64, 48), 2.0)
    tee.show_screen(av.VideoFrame(64, 48), 3.0)
    await tee.close()
    assert sinks[0].calls == sinks[1].calls == ["start", "play 1.0", "show 2.0", "screen 3.0", "close"]


async def test_when_one_does_not_start_those_before_it_are_closed() -> None:
    first, second, third = Noted(), Noted(fails_at="start"), Noted()
    with pytest.raises(MediaError, match="start failed"):
        await TeeSink(first, second, third).start()
    assert (first.calls, second.calls, third.calls) == (["start", "close"], ["start"], [])


async def test_all_are_closed_even_when_one_fails() -> None:
    first, second = Noted(fails_at="close"), Noted()
    with pytest.raises(MediaError, match="close failed"):
        await TeeSink(first, second).close()
    assert second.calls == ["close"]
