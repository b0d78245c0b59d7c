"""The best codec where bits are scarce, the cheapest where there are plenty, and seldom a change."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.media.codec_choice import FIRST_RETRY, LONGEST_RETRY, PLENTY, PLENTY_HOLD, SCARCE_HOLD, CodecChoice
from entrenous.media.codecs.base import Content, VideoCodec
from entrenous.media.picture_ladder import PictureLadder, PictureSize
from entrenous.media.video_codecs import best_codecs

HD = PictureSize(1280, 720, 30)
VP8, VP9, H264 = VideoCodec.VP8, VideoCodec.VP9, VideoCodec.H264
ENOUGH = PictureLadder(VP8, Content.CAMERA).demand(HD)


class Stream:
    """A choice that is asked ten times a second, and every change it made."""

    def __init__(self, usable: tuple[VideoCodec, ...] = best_codecs(), content: Content = Content.CAMERA) -> None:
        self.choice = CodecChoice(usable, content)
        self.now = 50.0
        self.codec = self.choice.codec
        self.changes: list[tuple[float, VideoCodec]] = []

    def run(self, seconds: float, rate: float, *, limited: bool = False) -> VideoCodec:
        for _ in range(round(seconds * 10)):
            codec = self.choice.update(self.now, rate, HD, encoder_limited=limited)
            if codec is not self.codec:
                self.changes.append((self.now, codec))
            self.codec = codec
            self.now += 0.1
        return self.codec


def test_a_stream_begins_with_the_best_and_stays_with_it_while_bits_are_scarce() -> None:
    assert Stream().run(60, 0.9 * ENOUGH) is VP9


def test_plenty_is_waited_for_and_then_the_cheapest_is_used() -> None:
    stream = Stream()
    assert stream.run(PLENTY_HOLD - 0.2, 2 * ENOUGH) is VP9
    assert stream.run(0.5, 2 * ENOUGH) is VP8


def test_scarcity_brings_the_best_back_after_a_moment() -> None:
    stream = Stream()
    stream.run(10, 2 * ENOUGH)
    assert stream.run(SCARCE_HOLD - 0.2, 0.9 * ENOUGH) is VP8
    assert stream.run(0.5, 0.9 * ENOUGH) is VP9


def test_a_rate_that_has_collapsed_is_believed_at_once() -> None:
    stream = Stream()
    stream.run(10, 2 * ENOUGH)
    assert stream.run(0.1, 0.4 * ENOUGH) is VP9


def test_short_plenty_and_short_scarcity_change_nothing() -> None:
    stream = Stream()
    for _ in range(20):
        assert stream.run(PLENTY_HOLD - 1, 2 * ENOUGH) is VP9
        assert stream.run(1, ENOUGH) is VP9


@pytest.mark.parametrize("before", [0.5, 3.0])
def test_between_scarcity_and_plenty_nothing_changes(before: float) -> None:
    stream = Stream()
    codec = stream.run(10, before * ENOUGH)
    for factor in (1.05, PLENTY - 0.05) * 20:
        assert stream.run(7, factor * ENOUGH) is codec


def test_an_encoder_that_cannot_keep_up_changes_at_once_and_back_after_a_minute() -> None:
    stream = Stream()
    stream.run(3, 0.5 * ENOUGH)
    assert stream.run(0.1, 0.5 * ENOUGH, limited=True) is VP8
    assert stream.run(30, 0.5 * ENOUGH, limited=True) is VP8
    assert stream.run(FIRST_RETRY - 31, 0.5 * ENOUGH) is VP8
    assert stream.run(3, 0.5 * ENOUGH) is VP9


def test_the_best_is_tried_ever_more_seldom_where_the_encoder_never_keeps_up_with_it() -> None:
    stream = Stream()
    for _ in range(36_000):
        stream.run(0.1, 0.5 * ENOUGH, limited=stream.codec is VP9)
    tried = [at for at, codec in stream.changes if codec is VP9]
    assert len(tried) <= 7
    waits = [round(later - one) for one, later in pairwise(tried)]
    assert waits == sorted(waits)
    assert max(waits) == pytest.approx(LONGEST_RETRY, abs=2)


def test_a_screen_takes_the_best_as_long_as_it_keeps_up() -> None:
    stream = Stream(content=Content.SCREEN)
    assert stream.run(20, 10 * ENOUGH) is VP9
    assert stream.run(0.1, 10 * ENOUGH, limited=True) is VP8


@pytest.mark.parametrize(("usable", "codec"), [((VP8, H264), VP8), ((H264,), H264), ((VP9,), VP9)])
def test_where_nothing_is_cheaper_nothing_changes(usable: tuple[VideoCodec, ...], codec: VideoCodec) -> None:
    stream = Stream(usable)
    for limited in (False, True):
        for factor in (0.2, 5.0):
            assert stream.run(10, factor * ENOUGH, limited=limited) is codec
    assert stream.changes == []


@given(
    st.lists(st.sampled_from(VideoCodec), min_size=1, max_size=3, unique=True),
    st.sampled_from(Content),
    st.lists(st.tuples(st.floats(0, 5e6), st.floats(0, 10), st.booleans()), max_size=40),
)
def test_only_what_both_ends_have_is_ever_used(
    usable: list[VideoCodec], content: Content, steps: list[tuple[float, float, bool]]
) -> None:
    choice, now = CodecChoice(usable, content), 0.0
    assert choice.codec in usable
    for rate, passed, limited in steps:
        now += passed
        assert choice.update(now, rate, HD, encoder_limited=limited) in usable
