"""Descriptions become SDP and come back; what a peer may not say is refused."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.errors import RemoteProtocolError
from entrenous.media.codecs.base import VideoCodec
from entrenous.media.description import (
    MAX_CANDIDATES,
    MAX_TEXT,
    LegDescription,
    Setup,
    parse_description,
)
from entrenous.media.identities import AudioFormat, new_streams
from entrenous.media.rtp import TRANSPORT_SEQUENCE_URI
from entrenous.media.streams import StreamKind

CANDIDATE = "1 1 udp 2130706431 192.0.2.7 5000 typ host"
FINGERPRINT = ":".join(["AB"] * 32)


def description(**changes: object) -> LegDescription:
    base = LegDescription(
        ufrag="user",
        password="password" * 3,
        fingerprint=FINGERPRINT,
        setup=Setup.ACTPASS,
        streams=new_streams().by_kind,
        candidates=(CANDIDATE,),
        candidates_complete=True,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("setup", Setup)
@pytest.mark.parametrize("complete", [False, True])
def test_what_is_written_is_read(setup: Setup, complete: bool) -> None:
    written = description(setup=setup, candidates_complete=complete)
    assert parse_description(written.to_sdp()) == written


@pytest.mark.parametrize("kind", StreamKind)
def test_every_stream_is_described(kind: StreamKind) -> None:
    streams = {each: identity for each, identity in new_streams().by_kind.items() if each is not kind}
    with pytest.raises(RemoteProtocolError):
        parse_description(description(streams=streams).to_sdp())


def test_the_text_has_what_browsers_need_and_nothing_that_tells() -> None:
    text = description().to_sdp()
    for line in (
        "a=group:BUNDLE audio video screen data",
        "a=rtcp-mux",
        "a=setup:actpass",
        "a=ice-options:trickle",
        f"a=fingerprint:sha-256 {FINGERPRINT}",
        "a=rtpmap:111 opus/48000/2",
        "a=rtpmap:96 VP8/90000",
        "a=rtpmap:97 rtx/90000",
        "a=fmtp:97 apt=96",
        "a=rtpmap:112 red/48000/2",
        "a=fmtp:112 111/111",
        "a=rtpmap:98 H264/90000",
        "a=rtpmap:100 VP9/90000",
        f"a=extmap:3 {TRANSPORT_SEQUENCE_URI}",
        "a=rtcp-fb:111 transport-cc",
        "a=rtcp-fb:96 nack pli",
        "a=sctp-port:5000",
    ):
        assert f"{line}\r\n" in text
    assert "useinbandfec=1" in text
    assert "cbr=1" in text
    assert text.count("extmap") == 3
    assert "audio-level" not in text


def test_secrets_and_addresses_are_not_shown() -> None:
    shown = repr(description())
    assert "passwordpassword" not in shown
    assert "192.0.2.7" not in shown


def test_names_and_numbers_of_another_implementation_are_taken() -> None:
    text = description().to_sdp().replace("BUNDLE audio video screen data", "BUNDLE 0 1 2 3")
    for name, number in (("audio", "0"), ("video", "1"), ("screen", "2"), ("data", "3")):
        text = text.replace(f"a=mid:{name}", f"a=mid:{number}")
    text = text.replace(":96 ", ":105 ").replace("SAVPF 96 97", "SAVPF 105 97").replace("apt=96", "apt=105")
    text = text.replace("extmap:3 ", "extmap:3/sendrecv ").replace("a=extmap:3", "a=extmap:1 urn:x\r\na=extmap:3")
    read = parse_description(text)
    assert (read.mids[StreamKind.AUDIO], read.mids[StreamKind.VIDEO], read.data_mid) == ("0", "1", "3")
    for kind in (StreamKind.VIDEO, StreamKind.SCREEN):
        assert read.streams[kind].payload_types[VideoCodec.VP8] == 105
        assert read.streams[kind].rtx_payload_types[VideoCodec.VP8] == 97


def test_what_we_do_not_know_is_left_out() -> None:
    text = (
        description().to_sdp().replace("VP9/90000", "AV1/90000").replace("packetization-mode=1", "packetization-mode=0")
    )
    read = parse_description(text.replace("a=fmtp:112 111/111", "a=fmtp:112 0/0"))
    assert set(read.streams[StreamKind.AUDIO].payload_types) == {AudioFormat.OPUS}
    assert set(read.streams[StreamKind.SCREEN].payload_types) == {VideoCodec.VP8}
    assert set(read.streams[StreamKind.SCREEN].rtx_payload_types) == {VideoCodec.VP8}


def test_one_number_for_the_same_in_two_streams_is_no_repetition() -> None:
    streams = dict(new_streams().by_kind)
    assert streams[StreamKind.VIDEO].payload_types == streams[StreamKind.SCREEN].payload_types
    other = {VideoCodec.VP8: 98, VideoCodec.H264: 96, VideoCodec.VP9: 100}
    streams[StreamKind.SCREEN] = replace(streams[StreamKind.SCREEN], payload_types=other)
    with pytest.raises(RemoteProtocolError):
        parse_description(description(streams=streams).to_sdp())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a=group:BUNDLE audio video screen data\r\n", ""),
        ("a=rtcp-mux\r\n", ""),
        ("a=ice-ufrag:user\r\n", ""),
        ("a=ice-ufrag:user\r\n", "a=ice-ufrag:u\r\n"),
        ("a=ice-pwd:passwordpasswordpassword\r\n", "a=ice-pwd:short\r\n"),
        ("AB:AB:", "AB:"),
        ("sha-256", "sha-1"),
        ("a=setup:actpass\r\n", ""),
        ("a=setup:actpass", "a=setup:holdconn"),
        ("UDP/TLS/RTP/SAVPF", "RTP/AVP"),
        ("opus/48000", "PCMU/8000"),
        ("/90000", "/9000"),
        (f"a=extmap:3 {TRANSPORT_SEQUENCE_URI}\r\n", ""),
        ("a=extmap:3 ", "a=extmap:4 "),
        ("a=extmap:3 ", "a=extmap:3x "),
        (TRANSPORT_SEQUENCE_URI, "urn:ietf:params:rtp-hdrext:ssrc-audio-level"),
        ("a=mid:screen", "a=mid:video"),
        ("a=mid:data", "a=mid:audio"),
        ("a=sctp-port:5000\r\n", ""),
        ("a=rtpmap:111 ", "a=rtpmap:20 "),
        ("cname:call", "cname"),
        ("a=ssrc:", "a=x-ssrc:"),
        ("m=audio 9", "m=audio"),
        ("a=mid:audio", "a=mid:" + "a" * 40),
        ("a=rtpmap:97 rtx", "a=rtpmap:96 rtx"),
        ("v=0", "v=x"),
        (f"a=candidate:{CANDIDATE}\r\n", "a=candidate:1 1 udp\r\n"),
        (f"a=candidate:{CANDIDATE}\r\n", f"a=candidate:{CANDIDATE}\r\n" * (MAX_CANDIDATES + 1)),
    ],
)
def test_what_every_leg_needs_must_be_there(old: str, new: str) -> None:
    text = description().to_sdp()
    assert old in text
    with pytest.raises(RemoteProtocolError):
        parse_description(text.replace(old, new))


def test_one_number_for_two_streams_is_refused() -> None:
    streams = dict(new_streams().by_kind)
    streams[StreamKind.SCREEN] = replace(streams[StreamKind.SCREEN], rtx_ssrc=streams[StreamKind.AUDIO].ssrc)
    with pytest.raises(RemoteProtocolError):
        parse_description(description(streams=streams).to_sdp())


def test_two_numbers_of_the_extension_are_refused() -> None:
    text = description().to_sdp()
    with pytest.raises(RemoteProtocolError):
        parse_description(text.replace("a=extmap:3 ", "a=extmap:4 ", 1))


def test_two_fingerprints_are_refused() -> None:
    line = f"a=fingerprint:sha-256 {FINGERPRINT}\r\n"
    other = line.replace("AB", "CD")
    with pytest.raises(RemoteProtocolError):
        parse_description(description().to_sdp().replace(line, line + other))


@pytest.mark.parametrize("text", ["x" * (MAX_TEXT + 1), "a=x\n" * 1000, ""])
def test_the_empty_and_the_overlong_are_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_description(text)


@given(st.randoms(use_true_random=False), st.integers(1, 5))
def test_damaged_text_is_read_or_refused(chance: random.Random, edits: int) -> None:
    lines = description().to_sdp().split("\r\n")
    for _ in range(edits):
        at = chance.randrange(len(lines))
        match chance.randrange(4):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, chance.choice(lines))
            case 2:
                lines[at] = lines[at][: chance.randrange(len(lines[at]) + 1)]
            case _:
                lines[at] = lines[at].replace(
                    chance.choice("0123456789:/ =a"), chance.choice(["", "-1", "x", " ", "9" * 30])
                )
        lines = lines or [""]
    try:
        parse_description("\r\n".join(lines))
    except RemoteProtocolError:
        return


@given(st.text(max_size=300))
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_description(text)
