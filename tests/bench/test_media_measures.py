"""What the media benchmarks measure with, on sound and pictures whose figures are known."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from bench.media_material import RATE, SCORE_RATE, Clip, Track, part, speech, stamp, stamp_height, stamped
from bench.media_measures import delays, freezes, ssim, timeline

BLOCK = 960


@cache
def clip() -> Clip:
    """Decoded once."""
    return Clip(320, 180)


def blocks(track: Track, delay: float, begin: float = 100.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, lengths and samples of a track that is heard so late."""
    count = len(track.samples) // BLOCK
    times = begin + delay + np.arange(count) * BLOCK / RATE
    return times, np.full(count, BLOCK), track.samples[: count * BLOCK]


def test_the_delay_of_speech_is_found_to_the_millisecond() -> None:
    track = speech("a")
    times, lengths, samples = blocks(track, 0.123)
    heard = timeline(times, lengths, samples, 100.0, 20.0)
    lags = [lag for _, lag in delays(track, heard, track.utterances[:1])]
    assert len(lags) > 5
    assert lags == pytest.approx([0.123] * len(lags), abs=0.001)


def test_times_that_shiver_do_not_tear_the_sound_apart() -> None:
    track = speech("b")
    times, lengths, samples = blocks(track, 0.200)
    shivering = times + np.random.default_rng(1).uniform(-0.015, 0.015, len(times))
    heard = timeline(shivering, lengths, samples, 100.0, 20.0)
    lags = [lag for _, lag in delays(track, heard, track.utterances[:1])]
    assert np.ptp(lags) < 0.0005
    assert lags[0] == pytest.approx(0.200, abs=0.003)


def test_sound_that_is_delayed_more_from_some_moment_on_shows_both_delays() -> None:
    track = speech("a")
    times, lengths, samples = blocks(track, 0.100)
    times[round(14.4 / BLOCK * RATE) :] += 0.300  # between the first two utterances
    heard = timeline(times, lengths, samples, 100.0, 25.0)
    found = delays(track, heard, track.utterances[:2])
    early = [lag for at, lag in found if at < 14.4]
    late = [lag for at, lag in found if at > 14.4]
    assert np.median(early) == pytest.approx(0.100, abs=0.002)
    assert np.median(late) == pytest.approx(0.400, abs=0.002)


def test_nothing_is_recognised_in_silence_and_noise() -> None:
    track = speech("a")
    length = len(track.score_samples)
    noise = np.random.default_rng(2).normal(0, 1000, length).astype(np.int16)
    assert delays(track, np.zeros(length, np.int16), track.utterances[:1]) == []
    assert delays(track, noise, track.utterances[:1]) == []


def test_a_track_goes_round_without_end() -> None:
    track = speech("a")
    piece = part(track, track.seconds - 1.0, 2.0)
    assert np.array_equal(piece.samples[:RATE], track.samples[-RATE:])
    assert np.array_equal(piece.samples[RATE:], track.samples[:RATE])
    assert len(piece.score_samples) == 2 * SCORE_RATE


@pytest.mark.parametrize("number", [0, 1, 125, 126, 30_000, 65_535])
def test_a_picture_tells_its_number_at_half_its_size_too(number: int) -> None:
    picture = clip().picture(number)
    assert stamped(picture.to_ndarray()[:180]) == number
    small = picture.reformat(160, 90, "gray", interpolation="BILINEAR")
    assert stamped(small.to_ndarray()) == number


def test_a_picture_without_a_number_tells_none() -> None:
    assert stamped(np.zeros((360, 640), np.uint8)) is None
    assert stamped(np.full((360, 640), 255, np.uint8)) is None
    luma = np.zeros((360, 640), np.uint8)
    stamp(luma, 77)
    luma[: stamp_height(640), : stamp_height(640)] = 255
    assert stamped(luma) is None


def test_the_clip_goes_forwards_and_backwards() -> None:
    assert np.array_equal(clip().luma(1), clip().luma(249))
    assert np.array_equal(clip().luma(0), clip().luma(250))
    assert not np.array_equal(clip().luma(0), clip().luma(125))


def test_similarity_falls_with_damage() -> None:
    luma = clip().luma(0)
    noise = np.random.default_rng(3).normal(0, 1, luma.shape)
    slight, heavy = (np.clip(luma + strength * noise, 0, 255).astype(np.uint8) for strength in (3, 30))
    assert ssim(luma, luma) == pytest.approx(1.0)
    assert 1.0 > ssim(luma, slight) > ssim(luma, heavy)


def test_pauses_are_counted_with_those_at_both_ends() -> None:
    times = np.array([1.0, 1.1, 1.2, 2.2, 2.3])
    assert freezes(times, 0.5, 2.5) == (2, pytest.approx(1.5))
    assert freezes(times, 1.0, 1.2) == (0, 0.0)
    assert freezes(np.zeros(0), 0.0, 4.0) == (1, 4.0)
