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
from entrenous.media.codecs.opus import MAXIMUM_PACKET, OpusDecoder, OpusEncoder
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


def packets_of(encoder: OpusEncoder, sound: NDArray[np.int16]) -> list[bytes]:
    return [encoder.encode(block) for block in sound.reshape(-1, BLOCK)]


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
def test_every_packet_has_one_size(speech: NDArray[np.int16], encoder: OpusEncoder, expected_loss: int) -> None:
    encoder.arm_fec(expected_loss)
    noise = np.random.default_rng(1).integers(-32768, 32767, 50 * BLOCK).astype(np.int16)
    quiet = np.zeros(50 * BLOCK, np.int16)
    sizes = {len(packet) for sound in (speech, quiet, noise, quiet) for packet in packets_of(encoder, sound)}
    assert sizes == {encoder.packet_size} == {80}


def test_the_size_stays_when_fec_is_switched(speech: NDArray[np.int16], encoder: OpusEncoder) -> None:
    sizes = set()
    for number, block in enumerate(speech.reshape(-1, BLOCK)):
        if number % 20 == 0:
            encoder.arm_fec(number // 20 % 2 * 10)
        sizes.add(len(encoder.encode(block)))
    assert sizes == {80}


@pytest.mark.parametrize(("bitrate", "size"), [(16_000, 40), (33_000, 83), (64_000, 160)])
def test_the_size_follows_the_bit_rate(bitrate: int, size: int) -> None:
    encoder = OpusEncoder(bitrate)
    assert encoder.packet_size == len(encoder.encode(np.zeros(BLOCK, np.int16))) == size


def test_fec_recovers_lost_speech_better_than_concealment(speech: NDArray[np.int16]) -> None:
    encoder = OpusEncoder()
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
    [b"", b"\xff", bytes(MAXIMUM_PACKET + 1), b"\x03", b"\x00" + bytes(30), b"\x1b" + bytes(10)],
    ids=["empty", "code 3 without its count", "too long", "no frames", "10 ms", "60 ms"],
)
def test_a_packet_that_is_no_20_ms_is_refused(decoder: OpusDecoder, packet: bytes) -> None:
    with pytest.raises(CodecError):
        decoder.decode(packet)
    with pytest.raises(CodecError):
        decoder.recover(packet)


def test_two_blocks_in_one_packet_are_refused(decoder: OpusDecoder) -> None:
    silk_20_ms_twice = b"\x09" + bytes(60)
    with pytest.raises(CodecError, match="40 ms"):
        decoder.decode(silk_20_ms_twice)


def test_a_refused_packet_leaves_the_decoder_as_it_was(speech: NDArray[np.int16], encoder: OpusEncoder) -> None:
    packets = packets_of(encoder, speech[: 40 * BLOCK])
    undisturbed, disturbed = OpusDecoder(), OpusDecoder()
    for packet in packets:
        with pytest.raises(CodecError):
            disturbed.decode(b"\x00" + bytes(30))
        assert np.array_equal(undisturbed.decode(packet), disturbed.decode(packet))


_survivor = OpusDecoder()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_give_a_block_or_a_codec_error(packet: bytes) -> None:
    for decode in (_survivor.decode, _survivor.recover):
        try:
            assert decode(packet).shape == (BLOCK,)
        except CodecError:
            continue


@pytest.mark.parametrize(
    "block",
    [
        np.zeros(480, np.int16),
        np.zeros((1, BLOCK), np.int16),
        np.zeros(BLOCK, np.float32),
        np.zeros(BLOCK, ">i2"),
    ],
    ids=["10 ms", "two axes", "floats", "byte order"],
)
def test_a_block_of_another_kind_is_refused(encoder: OpusEncoder, block: NDArray[np.int16]) -> None:
    with pytest.raises(CodecError, match="960 int16"):
        encoder.encode(block)


def test_a_strided_block_is_encoded_as_what_it_shows(speech: NDArray[np.int16]) -> None:
    stereo = np.repeat(speech[:BLOCK], 2).reshape(-1, 2)
    assert OpusEncoder().encode(stereo[:, 0]) == OpusEncoder().encode(speech[:BLOCK])


@pytest.mark.parametrize("percent", [-1, 101])
def test_an_impossible_loss_is_refused(encoder: OpusEncoder, percent: int) -> None:
    with pytest.raises(CodecError):
        encoder.arm_fec(percent)


def test_a_closed_codec_refuses_and_closes_again(encoder: OpusEncoder, decoder: OpusDecoder) -> None:
    packet = encoder.encode(np.zeros(BLOCK, np.int16))
    encoder.close()
    encoder.close()
    decoder.close()
    decoder.close()
    with pytest.raises(CodecError, match="closed"):
        encoder.encode(np.zeros(BLOCK, np.int16))
    for call in (lambda: decoder.decode(packet), lambda: decoder.recover(packet), decoder.conceal):
        with pytest.raises(CodecError, match="closed"):
            call()


def test_memory_is_given_back_also_without_closing() -> None:
    finalizers = [OpusEncoder()._destroy, OpusDecoder()._destroy]
    gc.collect()
    assert not any(finalizer.alive for finalizer in finalizers)
