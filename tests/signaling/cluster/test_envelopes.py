"""What nodes say to each other: it comes back as it was, and of rubbish comes an EnvelopeError and nothing else."""

from __future__ import annotations

import contextlib
import math

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrenous_signaling.cluster.envelopes import (
    FILL_BYTES,
    MAX_AGE_SECONDS,
    MAX_AHEAD_SECONDS,
    MAX_FRAME_BYTES,
    MAX_PRESENT,
    MAX_TOGETHER,
    TOGETHER_BYTES,
    VERSION,
    AnyEnvelope,
    Bell,
    CameIn,
    EnvelopeError,
    Expelled,
    Forward,
    Forwarded,
    Frame,
    Gone,
    Here,
    Leaving,
    NotHere,
    Session,
    Settled,
    as_raw,
    is_believable,
    pack,
    pack_frame,
    unpack,
    unpack_frame,
)
from entrenous_wire.limits import BODY_SIZES
from entrenous_wire.messages import Kind

NOW = 1_000_000.0
NODE = b"12345678"
NAMES = st.from_regex(r"[a-z0-9._-]{1,64}", fullmatch=True)
DEVICES = st.from_regex(r"[0-9a-f]{16}", fullmatch=True)
NUMBERS = st.integers(0, 2**53)
SESSIONS = st.builds(
    Session,
    username=NAMES,
    device=DEVICES,
    stamp=NUMBERS,
    hash=st.binary(min_size=32, max_size=32),
    expires=NUMBERS,
    device_key=st.binary(min_size=32, max_size=32),
)
MESSAGES = st.builds(
    Forwarded,
    seq=NUMBERS,
    id=st.binary(min_size=16, max_size=16),
    call=st.binary(min_size=16, max_size=16),
    kind=st.sampled_from(Kind),
    body=st.sampled_from(BODY_SIZES[:2]).map(bytes),
    recorded=st.booleans(),
    from_username=NAMES,
    from_device=DEVICES,
)
FORWARDS = st.builds(Forward, NAMES, DEVICES, NUMBERS, st.lists(MESSAGES, min_size=1, max_size=2))
ENVELOPES: st.SearchStrategy[AnyEnvelope] = st.one_of(
    st.lists(SESSIONS, max_size=3).map(Here),
    st.builds(Gone, NAMES, DEVICES),
    FORWARDS,
    st.builds(Settled, NAMES, DEVICES, NUMBERS, NUMBERS),
    st.builds(NotHere, NAMES, DEVICES),
    st.builds(Bell, NAMES, DEVICES),
    st.builds(Expelled, NAMES),
    st.just(Leaving()),
    st.builds(CameIn, NAMES, DEVICES, st.integers(0, 2**40).map(lambda minute: 60 * minute), st.booleans()),
)


@given(envelopes=st.lists(ENVELOPES, max_size=4), lane=NUMBERS, number=NUMBERS, ack=NUMBERS)
def test_what_is_packed_comes_back(envelopes: list[AnyEnvelope], lane: int, number: int, ack: int) -> None:
    frame = Frame(VERSION, NODE, NOW, lane, number, ack, as_raw(map(pack, envelopes)))
    heard = unpack_frame(pack_frame(frame), NOW)
    assert (heard.sender, heard.lane, heard.number, heard.ack) == (NODE, lane, number, ack)
    assert [unpack(raw) for raw in heard.envelopes] == envelopes


@given(data=st.binary(max_size=300))
@example(b"\x97" + b"\x97" * 5000)
def test_rubbish_is_an_envelope_error(data: bytes) -> None:
    for decode in (lambda: unpack_frame(data, NOW), lambda: unpack(data)):
        with contextlib.suppress(EnvelopeError):
            decode()


@given(envelope=ENVELOPES, at=st.integers(0, 2000), byte=st.integers(0, 255))
def test_a_damaged_envelope_is_another_one_or_an_error(envelope: AnyEnvelope, at: int, byte: int) -> None:
    damaged = bytearray(pack(envelope))
    damaged[at % len(damaged)] = byte
    with contextlib.suppress(EnvelopeError):
        assert isinstance(unpack(bytes(damaged)), AnyEnvelope)


def test_an_envelope_that_is_not_known_is_refused_alone() -> None:
    known, unknown = pack(Leaving()), msgspec.msgpack.encode([99, "something new"])
    heard = unpack_frame(pack_frame(Frame(VERSION, NODE, NOW, 1, 1, 0, as_raw([unknown, known]))), NOW)
    with pytest.raises(EnvelopeError):
        unpack(heard.envelopes[0])
    assert unpack(heard.envelopes[1]) == Leaving()


@pytest.mark.parametrize(
    "frame",
    [
        Frame(VERSION + 1, NODE, NOW),
        Frame(VERSION, b"short", NOW),
        Frame(VERSION, NODE, NOW, -1),
        Frame(VERSION, NODE, NOW - MAX_AGE_SECONDS - 1),
        Frame(VERSION, NODE, NOW + MAX_AGE_SECONDS + 1),
        Frame(VERSION, NODE, math.nan),
        Frame(VERSION, NODE, math.inf),
    ],
)
def test_a_frame_of_another_version_or_shape_or_time_is_refused(frame: Frame) -> None:
    with pytest.raises(EnvelopeError):
        unpack_frame(pack_frame(frame), NOW)


def test_a_frame_that_is_too_large_is_refused() -> None:
    with pytest.raises(EnvelopeError):
        unpack_frame(bytes(MAX_FRAME_BYTES + 1), NOW)


def test_the_largest_envelopes_fit_a_frame_that_is_nearly_full() -> None:
    name, device = "n" * 64, "f" * 16
    session = Session(name, device, 2**53, bytes(32), 2**53, bytes(32))

    def said(size: int) -> Forwarded:
        return Forwarded(2**53, bytes(16), bytes(16), Kind.SIGNAL, bytes(size), True, name, device)

    small, large = BODY_SIZES[0], BODY_SIZES[-1]
    many = [said(small)] * (TOGETHER_BYTES // small - 1) + [said(large)]
    assert len(many) <= MAX_TOGETHER
    forward = Forward(name, device, 2**53, many)
    for largest in (Here([session] * MAX_PRESENT), forward):
        assert unpack(pack(largest)) == largest
        frame = Frame(VERSION, NODE, NOW, 2**53, 2**53, 2**53, as_raw([bytes(FILL_BYTES), pack(largest)]))
        assert len(pack_frame(frame)) <= MAX_FRAME_BYTES


def test_more_sessions_than_an_envelope_may_hold_are_refused() -> None:
    session = Session("n", "f" * 16, 1, bytes(32), 1, bytes(32))
    with pytest.raises(EnvelopeError):
        unpack(pack(Here([session] * (MAX_PRESENT + 1))))


def test_what_is_far_ahead_of_our_clock_is_not_believed() -> None:
    assert is_believable(0, 1000.0)
    assert is_believable(int((1000.0 + MAX_AHEAD_SECONDS) * 1000), 1000.0)
    assert not is_believable(int((1000.0 + MAX_AHEAD_SECONDS) * 1000) + 1, 1000.0)
