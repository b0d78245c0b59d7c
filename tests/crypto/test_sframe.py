"""Sealing and opening streams of frames: counters, replays, reordering, epochs, and nothing ever in clear."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous.crypto.sframe import (
    EPOCH_GRACE,
    EPOCH_LIMIT,
    REPLAY_WINDOW,
    FrameOpener,
    FrameRejected,
    FrameSealer,
    RejectReason,
    Suite,
    tag_length,
)
from entrenous.crypto.sframe_cipher import MAX_VALUE, decode_header, encode_header
from entrenous.errors import LocalProtocolError

KEY, NEXT_KEY, LAST_KEY = b"0" * 32, b"1" * 32, b"2" * 32


def refused(opener: FrameOpener, sealed: bytes, now: float = 0.0, metadata: bytes = b"") -> RejectReason:
    with pytest.raises(FrameRejected) as caught:
        opener.open(sealed, metadata, now=now)
    return caught.value.reason


@pytest.mark.parametrize("suite", Suite)
def test_frames_come_through(suite: Suite) -> None:
    sealer, opener = FrameSealer(0, KEY, suite=suite), FrameOpener(0, KEY, suite=suite)
    for frame, metadata in [(b"", b""), (b"x", b"clear"), (b"frame" * 1000, b"")]:
        sealed = sealer.seal(frame, metadata)
        assert len(sealed) == 1 + len(frame) + tag_length(suite)
        if frame:
            assert frame not in sealed
        assert opener.open(sealed, metadata, now=0.0) == frame
    assert (sealer.sealed, opener.opened, opener.total_rejected) == (3, 3, 0)


def test_without_a_key_nothing_is_sealed_and_nothing_opened() -> None:
    sealer, opener = FrameSealer(), FrameOpener()
    assert not sealer.keyed
    with pytest.raises(LocalProtocolError):
        sealer.seal(b"frame")
    assert refused(opener, FrameSealer(0, KEY).seal(b"frame")) is RejectReason.NO_KEY
    sealer.rotate(0, KEY)
    opener.add_epoch(0, KEY, now=0.0)
    assert opener.open(sealer.seal(b"frame"), now=0.0) == b"frame"


def test_after_forgetting_nothing_is_sealed_and_nothing_opened() -> None:
    sealer, opener = FrameSealer(0, KEY), FrameOpener(0, KEY)
    sealed = sealer.seal(b"frame")
    sealer.forget()
    opener.forget()
    with pytest.raises(LocalProtocolError):
        sealer.seal(b"frame")
    assert refused(opener, sealed) is RejectReason.NO_KEY


def test_a_repeated_frame_is_refused_also_when_others_came_between() -> None:
    sealer, opener = FrameSealer(0, KEY), FrameOpener(0, KEY)
    frames = [sealer.seal(bytes((n,))) for n in range(20)]
    for sealed in frames:
        opener.open(sealed, now=0.0)
    assert all(refused(opener, sealed) is RejectReason.REPEATED for sealed in frames)
    assert opener.rejected[RejectReason.REPEATED] == 20


def test_frames_may_come_in_any_order_within_the_window() -> None:
    sealer, opener = FrameSealer(0, KEY), FrameOpener(0, KEY)
    frames = [sealer.seal(n.to_bytes(2, "big")) for n in range(REPLAY_WINDOW)]
    order = list(range(REPLAY_WINDOW))
    random.Random(5).shuffle(order)
    assert [opener.open(frames[n], now=0.0) for n in order] == [n.to_bytes(2, "big") for n in order]


def test_a_frame_from_before_the_window_is_refused() -> None:
    sealer, opener = FrameSealer(0, KEY), FrameOpener(0, KEY)
    frames = [sealer.seal(b"") for _ in range(REPLAY_WINDOW + 1)]
    opener.open(frames[-1], now=0.0)
    assert refused(opener, frames[0]) is RejectReason.TOO_OLD
    opener.open(frames[1], now=0.0)


def test_a_forged_counter_does_not_move_the_window() -> None:
    sealer, opener = FrameSealer(0, KEY), FrameOpener(0, KEY)
    first, second = sealer.seal(b"first"), sealer.seal(b"second")
    body = second[decode_header(second).length :]
    assert refused(opener, encode_header(0, MAX_VALUE) + body) is RejectReason.FORGED
    assert refused(opener, encode_header(0, 0) + body) is RejectReason.FORGED
    assert [opener.open(sealed, now=0.0) for sealed in (first, second)] == [b"first", b"second"]


def test_every_changed_byte_is_refused_and_changes_nothing() -> None:
    sealer, opener = FrameSealer(0, KEY), FrameOpener(0, KEY)
    sealed = sealer.seal(b"frame" * 10, b"clear")
    for at in range(len(sealed)):
        refused(opener, sealed[:at] + bytes((sealed[at] ^ 0x10,)) + sealed[at + 1 :], metadata=b"clear")
    refused(opener, sealed, metadata=b"Clear")
    assert opener.open(sealed, b"clear", now=0.0) == b"frame" * 10


def test_a_wrong_key_opens_nothing() -> None:
    assert refused(FrameOpener(0, NEXT_KEY), FrameSealer(0, KEY).seal(b"frame")) is RejectReason.FORGED


def test_an_unknown_epoch_is_refused() -> None:
    assert refused(FrameOpener(0, KEY), FrameSealer(1, KEY).seal(b"frame")) is RejectReason.UNKNOWN_EPOCH


def test_the_previous_epoch_ends_two_seconds_after_the_next_was_heard() -> None:
    sealer, opener = FrameSealer(0, KEY), FrameOpener(0, KEY)
    old = [sealer.seal(bytes((n,))) for n in range(4)]
    opener.add_epoch(1, NEXT_KEY, now=100.0)
    assert opener.open(old[0], now=130.0) == b"\0"
    assert opener.latest_epoch_opened == -1
    sealer.rotate(1, NEXT_KEY)
    assert sealer.epoch == 1
    opener.open(sealer.seal(b"new"), now=140.0)
    assert opener.latest_epoch_opened == 1
    assert opener.open(old[1], now=141.0) == b"\1"
    opener.open(sealer.seal(b"new"), now=141.5)
    assert opener.open(old[2], now=140.0 + EPOCH_GRACE - 0.001) == b"\2"
    assert refused(opener, old[3], now=140.0 + EPOCH_GRACE) is RejectReason.UNKNOWN_EPOCH


def test_a_superseded_epoch_lasts_as_long_as_the_peer_still_uses_it() -> None:
    sealer, opener = FrameSealer(0, KEY), FrameOpener(0, KEY)
    opener.add_epoch(1, NEXT_KEY, now=0.0)
    for second in range(0, 300, 50):
        opener.open(sealer.seal(b"still the old key"), now=float(second))
    assert refused(opener, sealer.seal(b"late"), now=250.0 + EPOCH_LIMIT) is RejectReason.UNKNOWN_EPOCH


def test_a_silent_stream_forgets_the_previous_epoch_too() -> None:
    sealer, opener = FrameSealer(0, KEY), FrameOpener(0, KEY)
    opener.add_epoch(1, NEXT_KEY, now=0.0)
    opener.expire(EPOCH_LIMIT - 0.001)
    assert repr(opener) == "<FrameOpener epochs=[0, 1] opened=0 rejected=0>"
    opener.expire(EPOCH_LIMIT)
    assert repr(opener) == "<FrameOpener epochs=[1] opened=0 rejected=0>"
    assert refused(opener, sealer.seal(b"late"), now=EPOCH_LIMIT) is RejectReason.UNKNOWN_EPOCH


def test_no_more_than_two_epochs_are_held() -> None:
    sealer, opener = FrameSealer(0, KEY), FrameOpener(0, KEY)
    first = sealer.seal(b"0")
    opener.add_epoch(1, NEXT_KEY, now=0.0)
    opener.add_epoch(2, LAST_KEY, now=0.0)
    assert refused(opener, first) is RejectReason.UNKNOWN_EPOCH
    assert opener.open(FrameSealer(1, NEXT_KEY).seal(b"1"), now=0.0) == b"1"
    assert opener.open(FrameSealer(2, LAST_KEY).seal(b"2"), now=0.0) == b"2"


def test_each_epoch_has_its_own_counters() -> None:
    sealer, opener = FrameSealer(0, KEY), FrameOpener(0, KEY)
    opener.add_epoch(1, NEXT_KEY, now=0.0)
    opener.open(sealer.seal(b"old"), now=0.0)
    sealer.rotate(1, NEXT_KEY)
    assert sealer.sealed == 0
    assert opener.open(sealer.seal(b"new"), now=0.0) == b"new"


def test_an_epoch_is_never_taken_twice_or_backwards() -> None:
    sealer, opener = FrameSealer(1, KEY), FrameOpener(1, KEY)
    for epoch in (0, 1):
        with pytest.raises(LocalProtocolError):
            sealer.rotate(epoch, NEXT_KEY)
        with pytest.raises(LocalProtocolError):
            opener.add_epoch(epoch, NEXT_KEY, now=0.0)
    assert opener.open(sealer.seal(b"as before"), now=0.0) == b"as before"


def test_used_up_counters_seal_nothing_more() -> None:
    sealer = FrameSealer(0, KEY)
    sealer._counter = MAX_VALUE
    assert decode_header(sealer.seal(b"last")).ctr == MAX_VALUE
    with pytest.raises(LocalProtocolError, match="used up"):
        sealer.seal(b"one too many")
    sealer.rotate(1, NEXT_KEY)
    sealer.seal(b"again")


@pytest.mark.parametrize("epoch", [0, 7, 8, 300])
def test_the_length_of_the_next_header_is_known(epoch: int) -> None:
    sealer = FrameSealer(epoch, KEY)
    lengths = set()
    for counter in (0, 1, 7, 8, 255, 256, 65_535, 65_536, MAX_VALUE):
        sealer._counter = counter
        expected = sealer.header_length
        assert len(sealer.seal(b"frame")) == expected + 5 + tag_length(Suite.AES_256_GCM_SHA512_128)
        lengths.add(expected)
    assert len(lengths) == 5
    assert FrameSealer().header_length == 1


@pytest.mark.parametrize("kind", [FrameSealer, FrameOpener])
def test_epoch_and_key_belong_together(kind: type[FrameSealer] | type[FrameOpener]) -> None:
    with pytest.raises(LocalProtocolError):
        kind(0, None)
    with pytest.raises(LocalProtocolError):
        kind(None, KEY)


def test_nothing_shown_is_secret() -> None:
    sealer, opener = FrameSealer(0, KEY), FrameOpener(0, KEY)
    assert repr(sealer) == "<FrameSealer epoch=0 sealed=0 keyed=True>"
    assert repr(opener) == "<FrameOpener epochs=[0] opened=0 rejected=0>"


@given(st.binary(max_size=64), st.binary(max_size=8))
def test_any_bytes_are_refused(data: bytes, metadata: bytes) -> None:
    opener = FrameOpener(0, KEY)
    with pytest.raises(FrameRejected):
        opener.open(data, metadata, now=0.0)
    assert opener.total_rejected == 1


@settings(max_examples=50)
@given(st.lists(st.tuples(st.binary(max_size=50), st.booleans(), st.booleans()), max_size=40), st.randoms())
def test_each_frame_arrives_at_most_once_and_as_it_was(
    frames: list[tuple[bytes, bool, bool]], chance: random.Random
) -> None:
    """Lost, doubled and shuffled at will, over a rekey in the middle."""
    sealer, opener = FrameSealer(0, KEY), FrameOpener(0, KEY)
    opener.add_epoch(1, NEXT_KEY, now=0.0)
    on_the_way: list[tuple[bytes, bytes]] = []
    for position, (frame, lost, doubled) in enumerate(frames):
        if position == len(frames) // 2 and position:
            sealer.rotate(1, NEXT_KEY)
        sealed = sealer.seal(frame)
        on_the_way += [(sealed, frame)] * (0 if lost else 2 if doubled else 1)
    chance.shuffle(on_the_way)
    arrived: set[bytes] = set()
    for sealed, frame in on_the_way:
        if sealed in arrived:
            assert refused(opener, sealed) is RejectReason.REPEATED
        else:
            assert opener.open(sealed, now=0.0) == frame
            arrived.add(sealed)
