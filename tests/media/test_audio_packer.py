"""What is sealed of sound: one size for each plan, and copies that arrive where they are missed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous.media.audio_packer import AudioPacker
from entrenous.media.audio_plan import HEADER_ROOM, AudioPlan
from entrenous.media.codecs.base import BLOCK_SAMPLES, Samples
from entrenous.media.codecs.opus import OpusDecoder, OpusEncoder, carries_fec, packet_samples
from entrenous.media.identities import AudioFormat
from entrenous.media.red import read_red

OPUS = 111

plans = st.one_of(
    st.builds(AudioPlan, st.integers(16_000, 64_000), st.booleans(), st.integers(0, 3)),
    st.builds(
        AudioPlan, st.integers(8_000, 32_000), st.just(value=False), st.integers(0, 3), st.sampled_from([40, 60])
    ),
)


def sound(plan: AudioPlan, number: int = 0) -> Samples:
    """One frame: noise, silence or a tone, by turns."""
    count = BLOCK_SAMPLES * plan.frame_ms // 20
    noise = np.random.default_rng(number).integers(-20_000, 20_000, count)
    tone = 9000 * np.sin(np.arange(count) / 20)
    return [noise, np.zeros(count), tone][number % 3].astype(np.int16)


def pack_all(packer: AudioPacker, frames: int, header_lengths: list[int] | None = None, begin: int = 0) -> list[bytes]:
    step = packer.plan.frame_ms * 48
    lengths = header_lengths or [1]
    return [
        packer.pack(sound(packer.plan, number), (begin + number * step) % 2**32, lengths[number % len(lengths)], OPUS)[
            1
        ]
        for number in range(frames)
    ]


@settings(max_examples=60, deadline=None)
@given(plans, st.lists(st.integers(1, 17), min_size=1, max_size=6))
def test_header_and_what_follows_have_one_size_together(plan: AudioPlan, header_lengths: list[int]) -> None:
    packer = AudioPacker(OpusEncoder(), plan)
    plain = pack_all(packer, 12, header_lengths)
    whole = {len(each) + header_lengths[number % len(header_lengths)] for number, each in enumerate(plain)}
    assert whole == {plan.plain_bytes + HEADER_ROOM}


@settings(max_examples=30, deadline=None)
@given(plans)
def test_what_is_packed_can_be_played(plan: AudioPlan) -> None:
    packer, decoder = AudioPacker(OpusEncoder(), plan), OpusDecoder()
    for plain in pack_all(packer, 8):
        primary = read_red(plain)[-1][1] if plan.duplicate_distance else plain
        assert packet_samples(primary) == plan.frame_ms * 48
        assert decoder.decode(primary).shape == (plan.frame_ms * 48,)


@pytest.mark.parametrize("header_length", [1, 3, HEADER_ROOM, 17])
def test_sound_alone_fills_what_the_header_leaves_free(header_length: int) -> None:
    plan = AudioPlan(48_000)
    size = plan.opus_bytes + HEADER_ROOM - header_length
    _, plain = AudioPacker(OpusEncoder(bitrate=plan.bitrate), plan).pack(sound(plan), 0, header_length, OPUS)
    assert plain == OpusEncoder(bitrate=plan.bitrate).encode(sound(plan), size)


@pytest.mark.parametrize("distance", [1, 2, 3])
@pytest.mark.parametrize("frame_ms", [20, 60])
def test_each_packet_comes_again_so_many_later(distance: int, frame_ms: int) -> None:
    packer = AudioPacker(OpusEncoder(), AudioPlan(24_000, duplicate_distance=distance, frame_ms=frame_ms))
    bundles = [read_red(plain) for plain in pack_all(packer, 10)]
    assert [len(bundle) for bundle in bundles] == [1] * distance + [2] * (10 - distance)
    for number in range(distance, 10):
        offset, copy = bundles[number][0]
        assert offset == distance * frame_ms * 48
        original = bundles[number - distance][-1][1]
        assert np.array_equal(OpusDecoder().decode(copy), OpusDecoder().decode(original))


def test_a_copy_too_old_to_be_named_is_left_out_and_the_size_stays() -> None:
    packer = AudioPacker(OpusEncoder(), AudioPlan(24_000, duplicate_distance=1))
    first = packer.pack(sound(packer.plan), 0, 1, OPUS)[1]
    after_a_pause = packer.pack(sound(packer.plan), 48_000, 1, OPUS)[1]
    assert len(read_red(after_a_pause)) == 1
    assert len(after_a_pause) == len(first)


def test_timestamps_may_wrap_between_a_packet_and_its_copy() -> None:
    packer = AudioPacker(OpusEncoder(), AudioPlan(24_000, duplicate_distance=1))
    packer.pack(sound(packer.plan), 2**32 - 960, 1, OPUS)
    assert read_red(packer.pack(sound(packer.plan), 0, 1, OPUS)[1])[0][0] == 960


def test_another_plan_begins_without_copies_of_the_last_one() -> None:
    packer = AudioPacker(OpusEncoder(), AudioPlan(64_000, duplicate_distance=1))
    pack_all(packer, 3)
    packer.use(AudioPlan(64_000, fec=True, duplicate_distance=1))
    bundles = [read_red(plain) for plain in pack_all(packer, 3, begin=3 * 960)]
    assert [len(bundle) for bundle in bundles] == [1, 2, 2]


def test_a_peer_that_takes_no_bundles_gets_the_same_size_without_copies() -> None:
    packer = AudioPacker(OpusEncoder(), AudioPlan(24_000, duplicate_distance=1))
    bundle_format, bundle = packer.pack(sound(packer.plan), 0, 1, OPUS)
    alone_format, alone = packer.pack(sound(packer.plan), 960, 1, OPUS, bundles=False)
    assert (bundle_format, alone_format) == (AudioFormat.RED, AudioFormat.OPUS)
    assert len(alone) == len(bundle)
    assert packet_samples(alone) == 960


def test_fec_is_armed_by_the_plan() -> None:
    packer = AudioPacker(OpusEncoder(), AudioPlan(48_000))
    assert not any(map(carries_fec, pack_all(packer, 30)))
    packer.use(AudioPlan(48_000, fec=True))
    assert any(map(carries_fec, pack_all(packer, 30)))
