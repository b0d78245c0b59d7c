"""Bundles of sound: what was put in comes out, and nothing that a remote sends does harm."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous.errors import LocalProtocolError, RemoteProtocolError
from entrenous.media.red import MAX_EARLIER, MAX_EARLIER_BYTES, MAX_OFFSET, read_red, write_red

OPUS = 111

earlier_packets = st.lists(
    st.tuples(st.integers(1, MAX_OFFSET), st.binary(min_size=1, max_size=MAX_EARLIER_BYTES)),
    max_size=MAX_EARLIER,
    unique_by=lambda part: part[0],
).map(lambda parts: sorted(parts, key=lambda part: -part[0]))


@settings(deadline=None)
@given(st.integers(0, 127), earlier_packets, st.binary(min_size=1, max_size=1275))
def test_what_was_bundled_comes_out_oldest_first(
    payload_type: int, earlier: list[tuple[int, bytes]], primary: bytes
) -> None:
    bundle = write_red(payload_type, earlier, primary)
    assert read_red(bundle) == [*earlier, (0, primary)]
    assert len(bundle) == 4 * len(earlier) + 1 + sum(len(packet) for _, packet in earlier) + len(primary)


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_read_or_refused(bundle: bytes) -> None:
    try:
        parts = read_red(bundle)
    except RemoteProtocolError:
        return
    assert parts[-1][0] == 0
    assert all(packet for _, packet in parts)
    assert [offset for offset, _ in parts] == sorted({offset for offset, _ in parts}, reverse=True)
    assert write_red(bundle[0] & 0x7F, parts[:-1], parts[-1][1]) == bundle


@settings(deadline=None)
@given(earlier_packets.filter(bool), st.data())
def test_a_bundle_cut_short_is_refused(earlier: list[tuple[int, bytes]], data: st.DataObject) -> None:
    whole = write_red(OPUS, earlier, b"p")
    with pytest.raises(RemoteProtocolError):
        read_red(whole[: data.draw(st.integers(0, len(whole) - 1))])


def test_the_bytes_are_those_of_the_standard() -> None:
    # RFC 2198, section 3: F and type, 14 bits of offset, 10 bits of length; then F = 0 and the type alone.
    assert write_red(OPUS, [(960, b"early")], b"now") == bytes.fromhex("ef 0f 00 05 6f") + b"early" + b"now"


@pytest.mark.parametrize(
    "bundle",
    [
        b"",
        b"\x6f",
        bytes.fromhex("ef0f0005"),
        bytes.fromhex("ef0f00056f") + b"early",
        bytes.fromhex("ef0f0000") + b"\x6fnow",
        bytes.fromhex("ef000003") + b"\x6fnownow",
        bytes.fromhex("ef0f0001") * 2 + b"\x6fabc",
        bytes.fromhex("ef0f0001ef1e0001") + b"\x6fabc",
        bytes.fromhex("ef2d0001ef1e0001ef0f0001ef010001") + b"\x6fabcde",
        bytes.fromhex("ee0f0001") + b"\x6fab",
    ],
    ids=[
        "nothing",
        "header only",
        "no primary header",
        "no primary",
        "empty earlier",
        "no offset",
        "same offset",
        "wrong order",
        "too many",
        "another type inside",
    ],
)
def test_what_is_no_bundle_of_ours_is_refused(bundle: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read_red(bundle)


@pytest.mark.parametrize(
    ("payload_type", "earlier", "primary"),
    [
        (OPUS, [], b""),
        (128, [], b"p"),
        (OPUS, [(0, b"e")], b"p"),
        (OPUS, [(MAX_OFFSET + 1, b"e")], b"p"),
        (OPUS, [(960, b"")], b"p"),
        (OPUS, [(960, bytes(MAX_EARLIER_BYTES + 1))], b"p"),
        (OPUS, [(960, b"e"), (1920, b"e")], b"p"),
        (OPUS, [(4 * 960 - 960 * number, b"e") for number in range(4)], b"p"),
    ],
)
def test_what_does_not_fit_is_not_written(payload_type: int, earlier: list[tuple[int, bytes]], primary: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        write_red(payload_type, earlier, primary)
