"""Opus: speech survives, sizes say nothing, losses are covered, and nothing a remote sends can crash it."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pystoi import stoi

from entrenous.assets import asset_path
from entrenous.errors import CodecError
from entrenous.media.codecs import libopus
from entrenous.media.codecs.opus import (
    MAXIMUM_FRAME,
    OpusDecoder,
    OpusEncoder,
    carries_fec,
    packet_bytes,
    packet_samples,
    pad_packet,
)
from lab.recordings import read_sound

RATE, BLOCK = 48_000, 960
ENCODER_DELAY = 312  # samples of look-ahead at 48 kHz (RFC 7845, section 4.2, measured by OPUS_GET_LOOKAHEAD)


@pytest.fixture(scope="module")
def speech() -> NDArray[np.int16]:
    """Six seconds of speech in whole blocks."""
    return read_sound(asset_path("speech-a.opus"))[: 300 * BLOCK]


@pytest.fixture
def encoder() -> Iterator[OpusEncoder]:
    codec = OpusEncoder()
    yield codec
    codec.close()


@pytest.fixture
def decoder() -> Iterator[OpusDecoder]:
    codec = OpusDecoder()
    yield codec
    codec.close()


def packets_of(encoder: OpusEncoder, sound: NDArray[np.int16], size: int = 80, blocks: int = 1) -> list[bytes]:
    return [encoder.encode(part, size) for part in sound.reshape(-1, blocks * BLOCK)]


def intelligibility(sent: NDArray[np.int16], heard: NDArray[np.int16]) -> float:
    clean, degraded = sent[:-ENCODER_DELAY], heard[ENCODER_DELAY:]
    return float(stoi(clean.astype(float), degraded.astype(float), RATE))


@pytest.mark.parametrize("expected_loss", [0, 10])
def test_speech_is_understood_after_a_round_trip(
    speech: NDArray[np.int16], encoder: OpusEncoder, decoder: OpusDecoder, expected_loss: int
) -> None:
    encoder.arm_fec(expected_loss)
    heard = np.concatenate([decoder.decode(packet) for packet in packets_of(encoder, speech)])
    assert heard.shape == speech.shape
    assert intelligibility(speech, heard) > 0.97


@pytest.mark.parametrize("expected_loss", [0, 10])
@pytest.mark.parametrize("blocks", [1, 2, 3])
@pytest.mark.parametrize("bitrate", [16_000, 32_000, 64_000])
def test_every_packet_has_the_size_asked_for(
    speech: NDArray[np.int16], encoder: OpusEncoder, expected_loss: int, blocks: int, bitrate: int
) -> None:
    encoder.arm_fec(expected_loss)
    size = packet_bytes(bitrate, 20 * blocks)
    noise = np.random.default_rng(1).integers(-32768, 32767, 30 * BLOCK).astype(np.int16)
    quiet = np.zeros(30 * BLOCK, np.int16)
    for sound in (speech[: 60 * BLOCK], quiet, noise, quiet):
        assert {len(packet) for packet in packets_of(encoder, sound, size, blocks)} == {size}


@pytest.mark.parametrize("size", [2, 39, 77, 80, 81, 160, 500, MAXIMUM_FRAME])
def test_any_size_is_kept_to_the_byte(speech: NDArray[np.int16], encoder: OpusEncoder, size: int) -> None:
    assert {len(encoder.encode(block, size)) for block in speech[: 40 * BLOCK].reshape(-1, BLOCK)} == {size}


@pytest.mark.parametrize("size", [-1, 0, 1, MAXIMUM_FRAME + 1])
def test_a_size_that_no_packet_has_is_refused(encoder: OpusEncoder, size: int) -> None:
    with pytest.raises(CodecError, match="bytes"):
        encoder.encode(np.zeros(BLOCK, np.int16), size)


@pytest.mark.parametrize(
    ("bitrate", "frame_ms", "size"), [(16_000, 20, 40), (33_000, 20, 83), (64_000, 20, 160), (24_000, 60, 180)]
)
def test_the_size_at_a_bit_rate(bitrate: int, frame_ms: int, size: int) -> None:
    assert packet_bytes(bitrate, frame_ms) == size


def test_sound_stays_whole_while_rate_fec_and_length_change(
    speech: NDArray[np.int16], encoder: OpusEncoder, decoder: OpusDecoder
) -> None:
    """Each change that a plan can bring, several times: no click, which would be a jump that speech does not have."""
    at, change, heard = 0, 0, []
    plans = [(160, 1, 0), (80, 1, 10), (40, 1, 0), (120, 3, 0), (80, 2, 0), (83, 1, 10), (160, 1, 0), (80, 1, 0)]
    while at + 12 * BLOCK <= len(speech):
        size, blocks, expected_loss = plans[change % len(plans)]
        encoder.arm_fec(expected_loss)
        for packet in packets_of(encoder, speech[at : at + 12 * BLOCK], size, blocks):
            assert len(packet) == size
            heard.append(decoder.decode(packet))
        at, change = at + 12 * BLOCK, change + 1
    sound = np.concatenate(heard)
    assert change > 2 * len(plans)
    assert len(sound) == at
    assert intelligibility(speech[:at], sound) > 0.95
    steps, natural = np.abs(np.diff(sound.astype(int))), np.abs(np.diff(speech.astype(int)))
    assert steps.max() < 1.5 * natural.max()


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_a_packet_of_each_length_decodes(
    speech: NDArray[np.int16], encoder: OpusEncoder, decoder: OpusDecoder, blocks: int
) -> None:
    packets = packets_of(encoder, speech, packet_bytes(32_000, 20 * blocks), blocks)
    assert {packet_samples(packet) for packet in packets} == {blocks * BLOCK}
    heard = [decoder.decode(packet) for packet in packets]
    assert {sound.shape for sound in heard} == {(blocks * BLOCK,)}
    assert intelligibility(speech, np.concatenate(heard)) > 0.97


def test_lengths_are_read_as_libopus_reads_them() -> None:
    told = libopus.load().opus_packet_get_nb_samples
    for first in range(256):
        for rest in (b"", *(bytes([second]) + bytes(20) for second in range(256))):
            packet = bytes([first]) + rest
            samples = told(packet, len(packet), RATE)
            if samples in (BLOCK, 2 * BLOCK, 3 * BLOCK):
                assert packet_samples(packet) == samples
            else:
                with pytest.raises(CodecError):
                    packet_samples(packet)


def test_what_was_decoded_is_the_callers_own(speech: NDArray[np.int16], encoder: OpusEncoder) -> None:
    decoder = OpusDecoder()
    first = [decoder.decode(packet) for packet in packets_of(encoder, speech[: 20 * BLOCK])][-1]
    kept = first.copy()
    decoder.conceal()
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("samples", [120, 480, 960, 1920, 2880, 5760])
def test_any_length_of_sound_is_concealed(
    speech: NDArray[np.int16], encoder: OpusEncoder, decoder: OpusDecoder, samples: int
) -> None:
    for packet in packets_of(encoder, speech[: 40 * BLOCK]):
        decoder.decode(packet)
    assert decoder.conceal(samples).shape == (samples,)


@pytest.mark.parametrize("samples", [-120, 0, 100, 5880])
def test_an_impossible_length_is_not_concealed(decoder: OpusDecoder, samples: int) -> None:
    with pytest.raises(CodecError, match="multiples"):
        decoder.conceal(samples)


def test_fec_is_seen_where_it_is(speech: NDArray[np.int16], encoder: OpusEncoder) -> None:
    assert not any(carries_fec(packet) for packet in packets_of(encoder, speech))
    encoder.arm_fec(10)
    armed = packets_of(encoder, speech)
    told = libopus.load().opus_packet_has_lbrr
    assert [carries_fec(packet) for packet in armed] == [told(packet, len(packet)) == 1 for packet in armed]
    assert sum(carries_fec(packet) for packet in armed) > len(armed) / 2
    assert not any(carries_fec(packet) for packet in packets_of(encoder, speech, 240, 3))


@pytest.mark.parametrize("blocks", [1, 2, 3])
@pytest.mark.parametrize("expected_loss", [0, 10])
@pytest.mark.parametrize("more", [0, 1, 2, 3, 60, 255, 256, 600])
def test_a_padded_packet_is_the_same_sound(
    speech: NDArray[np.int16], encoder: OpusEncoder, blocks: int, expected_loss: int, more: int
) -> None:
    encoder.arm_fec(expected_loss if blocks == 1 else 0)
    bare, padded = OpusDecoder(), OpusDecoder()
    for packet in packets_of(encoder, speech[: 24 * BLOCK], 80 * blocks, blocks):
        longer = pad_packet(packet, len(packet) + more)
        assert len(longer) == len(packet) + more
        assert packet_samples(longer) == packet_samples(packet)
        assert carries_fec(longer) == carries_fec(packet)
        assert np.array_equal(bare.decode(packet), padded.decode(longer))


def test_what_cannot_be_padded_is_refused() -> None:
    for packet, size in ((bytes(40), 39), (b"", 10), (b"\xff", 10)):
        with pytest.raises(CodecError):
            pad_packet(packet, size)


def test_the_encoder_can_be_tuned_while_it_runs(speech: NDArray[np.int16], encoder: OpusEncoder) -> None:
    for bitrate in (64_000, 16_000, 40_000):
        encoder.tune(bitrate)
        size = packet_bytes(bitrate, 20)
        assert {len(packet) for packet in packets_of(encoder, speech[: 20 * BLOCK], size)} == {size}


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_looking_for_fec_takes_any_bytes(packet: bytes) -> None:
    assert carries_fec(packet) in (False, True)


def test_fec_recovers_lost_speech_better_than_concealment(speech: NDArray[np.int16]) -> None:
    encoder = OpusEncoder()
    encoder.arm_fec(10)
    packets = packets_of(encoder, speech)
    lost = set(np.random.default_rng(5).choice(np.arange(2, len(packets) - 1), len(packets) // 8, replace=False))
    heard = {}
    for way in ("fec", "plc"):
        decoder = OpusDecoder()
        blocks = []
        for number, packet in enumerate(packets):
            if number not in lost:
                blocks.append(decoder.decode(packet))
            elif way == "fec" and number + 1 not in lost:
                blocks.append(decoder.recover(packets[number + 1]))
            else:
                blocks.append(decoder.conceal())
        heard[way] = intelligibility(speech, np.concatenate(blocks))
    assert heard["fec"] > heard["plc"] + 0.02
    assert heard["fec"] > 0.93


def test_concealment_fades_and_does_not_roar(speech: NDArray[np.int16], encoder: OpusEncoder) -> None:
    decoder = OpusDecoder()
    packets = packets_of(encoder, speech)
    loudest = max(
        range(20, 280), key=lambda number: float(np.mean(speech[number * BLOCK : (number + 1) * BLOCK] ** 2.0))
    )
    for packet in packets[: loudest + 1]:
        last = decoder.decode(packet)
    energies = [float(np.mean(decoder.conceal() ** 2.0)) for _ in range(50)]
    assert energies[0] > 0.05 * float(np.mean(last**2.0)), "the first concealed block goes on with the voice"
    assert max(energies) < 2 * float(np.mean(last**2.0))
    assert energies[10] < energies[0] / 4
    assert max(energies[40:]) < energies[0] / 100


@pytest.mark.parametrize(
    "packet",
    [b"", b"\xff", bytes(MAXIMUM_FRAME + 1), b"\x03", b"\x00" + bytes(30), b"\x1b\x02" + bytes(10)],
    ids=["empty", "code 3 without its count", "too long", "no frames", "10 ms", "120 ms"],
)
def test_a_packet_of_no_length_of_ours_is_refused(decoder: OpusDecoder, packet: bytes) -> None:
    with pytest.raises(CodecError):
        decoder.decode(packet)
    with pytest.raises(CodecError):
        decoder.recover(packet)


def test_a_packet_of_four_blocks_is_refused(decoder: OpusDecoder) -> None:
    silk_20_ms_four_times = b"\x0b\x04" + bytes(60)
    with pytest.raises(CodecError, match="80 ms"):
        decoder.decode(silk_20_ms_four_times)


def test_a_refused_packet_leaves_the_decoder_as_it_was(speech: NDArray[np.int16], encoder: OpusEncoder) -> None:
    packets = packets_of(encoder, speech[: 40 * BLOCK])
    undisturbed, disturbed = OpusDecoder(), OpusDecoder()
    for packet in packets:
        with pytest.raises(CodecError):
            disturbed.decode(b"\x00" + bytes(30))
        assert np.array_equal(undisturbed.decode(packet), disturbed.decode(packet))


_survivor = OpusDecoder()


def test_a_decoder_goes_back_to_what_was_saved(
    speech: NDArray[np.int16], encoder: OpusEncoder, decoder: OpusDecoder
) -> None:
    packets = packets_of(encoder, speech[: 20 * BLOCK])
    expected = [decoder.decode(packet) for packet in packets]
    other = OpusDecoder()
    for packet in packets[:10]:
        other.decode(packet)
    memory = other.save()
    for _ in range(5):
        other.conceal()
    other.restore(memory)
    for packet, sound in zip(packets[10:], expected[10:], strict=True):
        assert np.array_equal(other.decode(packet), sound)


@pytest.mark.parametrize("memory", [b"", bytes(100)])
def test_what_is_no_memory_is_not_restored(decoder: OpusDecoder, memory: bytes) -> None:
    with pytest.raises(CodecError, match="memory"):
        decoder.restore(memory)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_give_a_block_or_a_codec_error(packet: bytes) -> None:
    for decode in (_survivor.decode, _survivor.recover):
        try:
            assert decode(packet).shape in {(BLOCK,), (2 * BLOCK,), (3 * BLOCK,)}
        except CodecError:
            continue


@pytest.mark.parametrize(
    "block",
    [
        np.zeros(480, np.int16),
        np.zeros((1, BLOCK), np.int16),
        np.zeros((BLOCK, 1), np.int16),
        np.zeros(0, np.int16),
        np.zeros(4 * BLOCK, np.int16),
        np.zeros(BLOCK, np.float32),
        np.zeros(BLOCK, ">i2"),
    ],
    ids=["10 ms", "two axes", "a column", "nothing", "80 ms", "floats", "byte order"],
)
def test_a_block_of_another_kind_is_refused(encoder: OpusEncoder, block: NDArray[np.int16]) -> None:
    with pytest.raises(CodecError, match="960 int16"):
        encoder.encode(block, 80)


def test_a_strided_block_is_encoded_as_what_it_shows(speech: NDArray[np.int16]) -> None:
    stereo = np.repeat(speech[:BLOCK], 2).reshape(-1, 2)
    assert OpusEncoder().encode(stereo[:, 0], 80) == OpusEncoder().encode(speech[:BLOCK], 80)


@pytest.mark.parametrize("percent", [-1, 101])
def test_an_impossible_loss_is_refused(encoder: OpusEncoder, percent: int) -> None:
    with pytest.raises(CodecError):
        encoder.arm_fec(percent)


def test_a_closed_codec_refuses_and_closes_again(encoder: OpusEncoder, decoder: OpusDecoder) -> None:
    packet = encoder.encode(np.zeros(BLOCK, np.int16), 80)
    encoder.close()
    encoder.close()
    decoder.close()
    decoder.close()
    with pytest.raises(CodecError, match="closed"):
        encoder.encode(np.zeros(BLOCK, np.int16), 80)
    calls = (lambda: decoder.decode(packet), lambda: decoder.recover(packet), decoder.conceal, decoder.save)
    for call in calls:
        with pytest.raises(CodecError, match="closed"):
            call()


def test_memory_is_given_back_also_without_closing() -> None:
    finalizers = [OpusEncoder()._destroy, OpusDecoder()._destroy]
    gc.collect()
    assert not any(finalizer.alive for finalizer in finalizers)
