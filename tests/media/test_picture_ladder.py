"""Sizes and frame rates follow the rate and the encoder: down quickly, up patiently, never to and fro."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.media.codecs.base import Content, VideoCodec
from entrenous.media.picture_ladder import (
    DOWN_HOLD,
    EXCESS_MEMORY,
    FIRST_RETRY,
    LONGEST_RETRY,
    MOST_EXCESS,
    OVERUSE_HOLD,
    UP_HOLD,
    UP_MARGIN,
    PictureLadder,
    PictureSize,
    rungs_of,
)

HD = PictureSize(1280, 720, 30)
FULL_HD = PictureSize(1920, 1080, 30)
QUICK = 0.005


class Stream:
    """A ladder that is asked thirty times a second, and what it said."""

    def __init__(
        self, codec: VideoCodec = VideoCodec.VP8, content: Content = Content.CAMERA, source: PictureSize = HD
    ) -> None:
        self.ladder = PictureLadder(codec, content)
        self.source = source
        self.now = 100.0
        self.size = source
        self.changes: list[tuple[float, PictureSize]] = []

    def run(self, seconds: float, rate: float, seconds_per_full_picture: float = QUICK) -> PictureSize:
        """Encoding takes as long as there are pixels."""
        for _ in range(round(seconds * 30)):
            encoding = seconds_per_full_picture * self.size.pixels / self.source.pixels
            size = self.ladder.update(self.now, rate, encoding, self.source)
            if size != self.size:
                self.changes.append((self.now, size))
            self.size = size
            self.now += 1 / 30
        return self.size


def test_a_camera_becomes_smaller_before_it_becomes_slower() -> None:
    rungs = rungs_of(HD, Content.CAMERA)
    assert [(rung.width, rung.height, round(rung.fps)) for rung in rungs] == [
        (1280, 720, 30),
        (960, 540, 30),
        (640, 360, 30),
        (480, 270, 30),
        (480, 270, 20),
        (320, 180, 20),
        (320, 180, 15),
        (256, 144, 15),
    ]


def test_a_screen_becomes_slower_before_it_becomes_smaller() -> None:
    rungs = rungs_of(PictureSize(1920, 1080, 15), Content.SCREEN)
    assert [(rung.width, rung.height, round(rung.fps)) for rung in rungs] == [
        (1920, 1080, 15),
        (1920, 1080, 10),
        (1920, 1080, 7),
        (1920, 1080, 5),
        (1440, 810, 5),
        (960, 540, 5),
        (720, 404, 5),
    ]


def test_a_rung_on_which_the_encoder_does_not_keep_to_its_rate_is_left_until_there_is_as_much() -> None:
    stream = Stream()
    assert stream.run(1.0, 900_000) == HD
    heard = []
    for _ in range(90):
        stream.ladder.encoded(round(1_300_000 / 8 / 30) if stream.size == HD else 2_000, 900_000)
        heard.append(stream.run(1 / 30, 900_000))
    assert heard[-1] == PictureSize(960, 540, 30)
    left_after = next(number for number, size in enumerate(heard) if size != HD) / 30
    assert MOST_EXCESS <= left_after <= 3 * MOST_EXCESS, "0.44 seconds of the rate too much in each second"
    assert stream.run(10.0, 1_300_000) != HD
    assert stream.run(2.0, 1_300_000 * UP_MARGIN + 1000) == HD, "by now there is as much as it takes"


def test_what_a_rung_has_cost_is_forgotten() -> None:
    stream = Stream()
    stream.run(1.0, 1_000_000)
    for _ in range(60):
        stream.ladder.encoded(10_000, 1_000_000)
    assert stream.run(0.1, 1_000_000) != HD
    assert stream.run(EXCESS_MEMORY - 1.0, 1_000_000) != HD
    assert stream.run(2.0 + UP_HOLD, 1_000_000) == HD


def test_key_frames_and_pictures_that_make_up_for_them_are_no_excess() -> None:
    stream = Stream()
    stream.run(1.0, 1_000_000)
    for number in range(300):
        stream.ladder.encoded(37_500 if number % 30 == 0 else 3_016, 1_000_000)
        assert stream.run(1 / 30, 1_000_000) == HD


def test_on_the_lowest_rung_nothing_is_left_to_do() -> None:
    stream = Stream()
    lowest = stream.run(3.0, 10_000)
    for _ in range(300):
        stream.ladder.encoded(10_000, 20_000)
    assert stream.run(1.0, 20_000) == lowest


sources = st.builds(
    PictureSize, st.integers(2, 4096), st.integers(2, 4096), st.sampled_from([1.0, 5.0, 15.0, 30.0, 60.0])
)


@given(sources, st.sampled_from(Content), st.sampled_from(VideoCodec))
def test_every_rung_costs_less_and_keeps_the_shape_of_the_source(
    source: PictureSize, content: Content, codec: VideoCodec
) -> None:
    rungs, ladder = rungs_of(source, content), PictureLadder(codec, content)
    demands = [ladder.demand(rung) for rung in rungs]
    assert all(lower < higher for higher, lower in pairwise(demands))
    for rung in rungs:
        assert rung.width % 2 == rung.height % 2 == 0
        assert 2 <= rung.width <= source.width
        assert 2 <= rung.height <= source.height
        assert 0 < rung.fps <= source.fps
        assert abs(rung.width * source.height - rung.height * source.width) <= 2 * max(source.width, source.height)
        if min(source.width, source.height) >= 144:
            assert min(rung.width, rung.height) >= 144


@given(st.lists(st.tuples(st.floats(0, 5e6), st.floats(0, 0.2), st.floats(0, 3)), max_size=60), sources)
def test_whatever_comes_a_rung_of_the_source_is_said(
    steps: list[tuple[float, float, float]], source: PictureSize
) -> None:
    ladder, now = PictureLadder(VideoCodec.VP9, Content.CAMERA), 0.0
    rungs = rungs_of(source, Content.CAMERA)
    for rate, encoding, passed in steps:
        now += passed
        assert ladder.update(now, rate, encoding, source) in rungs


@given(st.sampled_from(VideoCodec), st.sampled_from(Content), st.integers(10_000, 4_000_000))
def test_a_steady_rate_is_answered_steadily(codec: VideoCodec, content: Content, rate: int) -> None:
    stream = Stream(codec, content)
    first = stream.run(0.05, rate)
    assert stream.run(8, rate) == first


@pytest.mark.parametrize(
    ("rate", "lines"), [(25_000, 144), (150_000, 270), (300_000, 360), (600_000, 540), (1_000_000, 720)]
)
def test_the_first_size_is_what_the_rate_is_enough_for(rate: int, lines: int) -> None:
    assert Stream().run(0.05, rate).height == lines


def test_codecs_that_need_less_show_more() -> None:
    assert [Stream(codec).run(0.05, 750_000).height for codec in (VideoCodec.VP9, VideoCodec.VP8, VideoCodec.H264)] == [
        720,
        540,
        540,
    ]


def test_a_rate_that_breaks_down_is_believed_at_once() -> None:
    stream = Stream()
    stream.run(2, 2_000_000)
    before = stream.now
    assert stream.run(0.1, 300_000).height == 360
    assert stream.changes[-1][0] - before <= 1 / 30


def test_a_rate_that_falls_a_little_is_followed_after_a_moment() -> None:
    stream = Stream()
    stream.run(2, 1_000_000)
    assert stream.run(DOWN_HOLD - 0.1, 650_000).height == 720
    assert stream.run(0.2, 650_000).height == 540


def test_a_short_dip_changes_nothing() -> None:
    stream = Stream()
    stream.run(2, 1_000_000)
    for _ in range(10):
        stream.run(DOWN_HOLD - 0.1, 650_000)
        assert stream.run(0.2, 1_000_000).height == 720


def test_a_rate_that_comes_back_is_used_within_seconds_by_few_changes() -> None:
    stream = Stream()
    stream.run(2, 2_000_000)
    stream.run(5, 300_000)
    changes = len(stream.changes)
    assert stream.run(UP_HOLD - 0.1, 2_000_000).height == 360
    assert stream.run(0.2, 2_000_000).height == 720
    assert len(stream.changes) == changes + 1


def test_a_rate_that_wavers_about_a_rung_does_not_make_it_change() -> None:
    stream = Stream()
    wanted = stream.ladder.demand(PictureSize(960, 540, 30))
    stream.run(2, wanted)
    for factor in (0.9, 1.1, 0.95, 1.14, 0.86) * 10:
        assert stream.run(0.7, factor * wanted).height == 540
    assert UP_MARGIN > 1.14


def test_a_rung_is_climbed_only_with_a_margin() -> None:
    stream = Stream()
    wanted = stream.ladder.demand(HD)
    stream.run(1, wanted / 1.7)
    assert stream.run(10, (UP_MARGIN - 0.05) * wanted).height == 540
    assert stream.run(2, (UP_MARGIN + 0.05) * wanted).height == 720


def test_the_burden_of_larger_pictures_is_not_held_against_smaller_ones() -> None:
    stream = Stream()
    stream.run(1, 3_000_000)
    stream.run(OVERUSE_HOLD + 0.5, 3_000_000, seconds_per_full_picture=0.040)
    assert stream.size.height == 540
    for _ in range(60):  # nothing is encoded
        assert stream.ladder.update(stream.now, 3_000_000, None, HD).height == 540
        stream.now += 0.1


def test_an_overused_encoder_is_relieved_within_seconds() -> None:
    stream = Stream()
    stream.run(2, 3_000_000)
    assert not stream.ladder.encoder_limited
    start = stream.now
    stream.run(5, 3_000_000, seconds_per_full_picture=0.040)
    assert stream.ladder.encoder_limited
    assert stream.size.height == 540
    assert stream.changes[-1][0] - start <= OVERUSE_HOLD + 0.8


def test_a_busy_moment_relieves_nothing() -> None:
    stream = Stream()
    stream.run(2, 3_000_000)
    stream.run(OVERUSE_HOLD / 2, 3_000_000, seconds_per_full_picture=0.100)
    assert stream.run(3, 3_000_000).height == 720


def test_after_an_overuse_more_is_tried_seldom_and_ever_more_seldom() -> None:
    stream = Stream()
    stream.run(2, 3_000_000)

    def burden() -> float:
        """Seconds a full picture: too much only when it is really tried."""
        return 0.040 if stream.size == HD else 0.012

    for _ in range(20 * 60 * 4):
        stream.run(0.25, 3_000_000, burden())
    tries = [at for at, size in stream.changes if size == HD]
    waits = [later - earlier for earlier, later in pairwise(tries)]
    assert waits[0] >= 2 * FIRST_RETRY
    assert all(later > earlier - 1 for earlier, later in pairwise(waits))
    assert LONGEST_RETRY <= waits[-1] <= LONGEST_RETRY + 10


def test_an_encoder_without_time_to_spare_does_not_climb() -> None:
    stream = Stream()
    stream.run(1, 3_000_000)
    stream.run(120, 3_000_000, seconds_per_full_picture=0.030)
    assert stream.size.height == 540
    assert len(stream.changes) == 1


def test_an_encoder_that_is_at_ease_again_climbs_and_forgets() -> None:
    stream = Stream()
    stream.run(1, 3_000_000)
    stream.run(5, 3_000_000, seconds_per_full_picture=0.040)
    stream.run(FIRST_RETRY + 3, 3_000_000)
    assert stream.size == HD
    stream.run(2 * FIRST_RETRY, 3_000_000)
    assert not stream.ladder.encoder_limited


def test_an_encoder_hopeless_on_the_lowest_rung_stays_there() -> None:
    stream = Stream()
    stream.run(30, 3_000_000, seconds_per_full_picture=10.0)
    assert stream.size == rungs_of(HD, Content.CAMERA)[-1]


def test_an_overused_screen_comes_less_often_and_stays_sharp() -> None:
    stream = Stream(content=Content.SCREEN, source=FULL_HD)
    stream.run(1, 5_000_000)
    stream.run(20, 5_000_000, seconds_per_full_picture=0.060)
    assert (stream.size.width, stream.size.height) == (1920, 1080)
    assert stream.size.fps * 0.060 <= 0.75


def test_another_source_is_answered_at_once() -> None:
    stream = Stream()
    stream.run(2, 1_000_000)
    assert stream.ladder.update(stream.now, 1_000_000, None, PictureSize(720, 1280, 30)) == PictureSize(720, 1280, 30)
    assert stream.ladder.update(stream.now, 1_000_000, None, PictureSize(1921, 1081, 30)).height < 1080


def test_a_cheaper_codec_changes_what_rungs_cost() -> None:
    stream = Stream(VideoCodec.VP9)
    assert stream.run(2, 750_000).height == 720
    stream.ladder.codec = VideoCodec.H264
    assert stream.run(2, 750_000).height == 540


@pytest.mark.parametrize(
    ("source", "reduced"),
    [
        (PictureSize(640, 480, 15), PictureSize(640, 480, 15)),
        (PictureSize(1920, 1080, 60), PictureSize(1280, 720, 30)),
        (PictureSize(1080, 1920, 30), PictureSize(404, 720, 30)),
        (PictureSize(5000, 4, 30), PictureSize(1280, 2, 30)),
    ],
)
def test_a_source_is_reduced_in_its_own_shape(source: PictureSize, reduced: PictureSize) -> None:
    assert source.within(PictureSize(1280, 720, 30)) == reduced
