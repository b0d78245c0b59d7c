"""The description of one leg and its SDP text (RFC 8866, RFC 9143 BUNDLE, RFC 8839 ICE, RFC 8842 DTLS).

Each side describes one bundled transport that carries sound (Opus, alone or in pairs of RFC 2198), the camera's and
the screen's picture (VP8, H264, VP9, with RFC 4588 retransmission) and a data channel (RFC 8841): always all of them,
so that nothing has to be described anew when a camera or a screen is switched on. Of two sections of video the first
is the camera's. The offer leaves the DTLS role open (`actpass`); the answerer is the DTLS client (`active`). Payload
types of an answer are those of its offer. The only header extension is the transport-wide sequence number, which says
no more than the order of the packets does: an audio level would tell what is said to whoever sees them.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from aiortc import sdp
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters
from aiortc.rtcicetransport import RTCIceParameters
from aiortc.rtcrtpparameters import RTCRtcpFeedback, RTCRtpCodecParameters, RTCRtpHeaderExtensionParameters
from aiortc.rtcsctptransport import RTCSctpCapabilities

from entrenous.errors import RemoteProtocolError

from .codecs.base import VideoCodec
from .identities import AudioFormat, Format, StreamIdentity
from .rtp import TRANSPORT_SEQUENCE_ID, TRANSPORT_SEQUENCE_URI
from .streams import StreamKind

MAX_TEXT = 16 * 1024
"""Characters of a description that are looked at; longer ones are refused unread."""

MAX_LINES = 400
"""Lines of a description."""

MAX_CANDIDATES = 32
"""Candidates of one side of a leg, in the description and after it together."""

MAX_MESSAGE = 64 * 1024
"""Bytes of one message on the data channel."""

SCTP_PORT = 5000
"""Both ends' SCTP port inside DTLS (RFC 8841)."""

_MEDIA_PROFILE = "UDP/TLS/RTP/SAVPF"
_DATA_PROFILE = "UDP/DTLS/SCTP"
_DATA_MID = "data"
_CNAME = "call"
"""Names the common clock of a sender's streams; one word for everybody, so that it tells nothing."""

_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}")
_FINGERPRINT = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2}){31}")
_MID = re.compile(r"[A-Za-z0-9_.-]{1,16}")

_PARSE_FAILURES = (AssertionError, AttributeError, IndexError, KeyError, StopIteration, TypeError, ValueError)
"""What the SDP parser raises on malformed text: it asserts, unpacks and looks up without checking."""


class Setup(StrEnum):
    """Who speaks first in DTLS (RFC 8842 §5.1)."""

    ACTPASS = "actpass"
    ACTIVE = "active"
    PASSIVE = "passive"


_ROLE_OF_SETUP = {Setup.ACTPASS: "auto", Setup.ACTIVE: "client", Setup.PASSIVE: "server"}
_SETUP_OF_ROLE = {role: setup for setup, role in _ROLE_OF_SETUP.items()}


@dataclass(frozen=True, slots=True)
class LegDescription:
    """Everything that one side tells the other about a leg.

    Args:
        ufrag: ICE user name fragment.
        password: ICE password.
        fingerprint: SHA-256 of the DTLS certificate, upper-case hexadecimal pairs with colons.
        setup: DTLS role.
        streams: what this side sends; payload types are what it wants to receive as well.
        mids: the name of each stream's section, of an offer to be repeated in its answer.
        data_mid: the name of the data channel's section.
        candidates: its addresses as SDP text after `candidate:`.
        candidates_complete: whether no more will follow.
    """

    ufrag: str
    password: str = field(repr=False)
    fingerprint: str
    setup: Setup
    streams: Mapping[StreamKind, StreamIdentity]
    mids: Mapping[StreamKind, str] = field(default_factory=lambda: {kind: kind.value for kind in StreamKind})
    data_mid: str = _DATA_MID
    candidates: tuple[str, ...] = field(default=(), repr=False)
    candidates_complete: bool = False

    def to_sdp(self) -> str:
        """The SDP text."""
        session = sdp.SessionDescription()
        # RFC 8829 §5.2.1: a random number, and no address of ours.
        session.origin = f"- {secrets.randbits(62)} 1 IN IP4 0.0.0.0"
        sections = [self._media_section(kind, identity) for kind, identity in self.streams.items()]
        sections.append(self._data_section())
        for section in sections:
            section.host = "0.0.0.0"
            section.ice = RTCIceParameters(usernameFragment=self.ufrag, password=self.password)
            section.ice_options = "trickle"
            section.dtls = RTCDtlsParameters(
                fingerprints=[RTCDtlsFingerprint(algorithm="sha-256", value=self.fingerprint)],
                role=_ROLE_OF_SETUP[self.setup],
            )
        # With BUNDLE, the candidates of the first section are those of all (RFC 9143 §7.1).
        sections[0].ice_candidates = [sdp.candidate_from_sdp(line) for line in self.candidates]
        sections[0].ice_candidates_complete = self.candidates_complete
        session.media = sections
        session.group = [sdp.GroupDescription("BUNDLE", [section.rtp.muxId for section in sections])]
        return str(session)

    def _media_section(self, kind: StreamKind, identity: StreamIdentity) -> sdp.MediaDescription:
        codecs = _codecs(identity)
        media = "audio" if kind is StreamKind.AUDIO else "video"
        section = sdp.MediaDescription(media, 9, _MEDIA_PROFILE, [codec.payloadType for codec in codecs])
        section.rtp.codecs = codecs
        section.rtp.headerExtensions = [
            RTCRtpHeaderExtensionParameters(id=TRANSPORT_SEQUENCE_ID, uri=TRANSPORT_SEQUENCE_URI)
        ]
        section.rtp.muxId = self.mids[kind]
        section.direction = "sendrecv"
        section.rtcp_port = 9
        section.rtcp_host = "0.0.0.0"
        section.rtcp_mux = True
        section.ssrc = [sdp.SsrcDescription(ssrc=identity.ssrc, cname=_CNAME)]
        if identity.rtx_ssrc is not None:
            section.ssrc.append(sdp.SsrcDescription(ssrc=identity.rtx_ssrc, cname=_CNAME))
            section.ssrc_group = [sdp.GroupDescription("FID", [identity.ssrc, identity.rtx_ssrc])]
        return section

    def _data_section(self) -> sdp.MediaDescription:
        section = sdp.MediaDescription("application", 9, _DATA_PROFILE, ["webrtc-datachannel"])
        section.rtp.muxId = self.data_mid
        section.sctp_port = SCTP_PORT
        section.sctpCapabilities = RTCSctpCapabilities(maxMessageSize=MAX_MESSAGE)
        return section


_NAMES: Mapping[Format, tuple[str, int]] = {
    AudioFormat.OPUS: ("opus", 48000),
    AudioFormat.RED: ("red", 48000),
    VideoCodec.VP8: ("VP8", 90000),
    VideoCodec.H264: ("H264", 90000),
    VideoCodec.VP9: ("VP9", 90000),
}
"""How formats are called in SDP, and their clock rates in hertz."""

_KINDS: Mapping[str, tuple[StreamKind, ...]] = {
    "audio": (StreamKind.AUDIO,),
    "video": (StreamKind.VIDEO, StreamKind.SCREEN),
}
"""The streams of a section's media type, in the order of their sections."""

_FORMATS: Mapping[StreamKind, tuple[Format, ...]] = {
    StreamKind.AUDIO: tuple(AudioFormat),
    StreamKind.VIDEO: tuple(VideoCodec),
    StreamKind.SCREEN: tuple(VideoCodec),
}


def _codecs(identity: StreamIdentity) -> list[RTCRtpCodecParameters]:
    codecs = []
    for format_, payload_type in identity.payload_types.items():
        codecs.append(_codec(format_, payload_type, identity))
        if format_ in identity.rtx_payload_types:
            codecs.append(
                RTCRtpCodecParameters(
                    mimeType="video/rtx",
                    clockRate=90000,
                    payloadType=identity.rtx_payload_types[format_],
                    parameters={"apt": payload_type},
                )
            )
    return codecs


def _codec(format_: Format, payload_type: int, identity: StreamIdentity) -> RTCRtpCodecParameters:
    name, rate = _NAMES[format_]
    media = "video"
    channels = None
    parameters: dict[str, int | str | None] = {}
    feedback = [RTCRtcpFeedback(type="transport-cc")]
    match format_:
        case AudioFormat.OPUS:
            # Two channels stand in the name whatever is inside (RFC 7587 §7); constant rate says nothing of the speech.
            media, channels = "audio", 2
            parameters = {"minptime": 20, "useinbandfec": 1, "cbr": "1", "stereo": 0}
        case AudioFormat.RED:
            opus = identity.payload_types[AudioFormat.OPUS]
            media, channels = "audio", 2
            parameters = {f"{opus}/{opus}": None}
        case VideoCodec.VP8:
            pass
        case VideoCodec.H264:
            # Constrained baseline, any level: the sender's pictures are scaled to what its rate carries.
            parameters = {"level-asymmetry-allowed": "1", "packetization-mode": "1", "profile-level-id": "42e01f"}
        case VideoCodec.VP9:
            parameters = {"profile-id": "0"}
        case _:
            assert_never(format_)
    if media == "video":
        feedback += [
            RTCRtcpFeedback(type="nack"),
            RTCRtcpFeedback(type="nack", parameter="pli"),
            RTCRtcpFeedback(type="ccm", parameter="fir"),
        ]
    return RTCRtpCodecParameters(
        mimeType=f"{media}/{name}",
        clockRate=rate,
        channels=channels,
        payloadType=payload_type,
        rtcpFeedback=feedback,
        parameters=parameters,
    )


def parse_description(text: str) -> LegDescription:
    """Read the SDP text of a peer.

    Args:
        text: at most `MAX_TEXT` characters.

    Returns:
        The description; unknown attributes, codecs and further sections of a kind are left out.

    Raises:
        RemoteProtocolError: it is too long, malformed, not bundled, or lacks what every leg needs.
    """
    if len(text) > MAX_TEXT or text.count("\n") > MAX_LINES:
        raise RemoteProtocolError("The session description is too long.")
    try:
        return _read(sdp.SessionDescription.parse(text))
    except _PARSE_FAILURES as error:
        raise RemoteProtocolError("The session description is malformed.") from error


def _read(session: sdp.SessionDescription) -> LegDescription:
    bundled = next((group.items for group in session.group if group.semantic == "BUNDLE"), [])
    sections = [section for section in session.media if section.rtp.muxId in bundled]
    if not sections:
        raise RemoteProtocolError("The session description bundles nothing.")
    transport = next(section for section in sections if section.rtp.muxId == bundled[0])
    streams: dict[StreamKind, StreamIdentity] = {}
    mids: dict[StreamKind, str] = {}
    data_mid = None
    for section in sections:
        if not _MID.fullmatch(section.rtp.muxId):
            raise RemoteProtocolError("The session description has a malformed section name.")
        if section.kind == "application" and section.sctp_port == SCTP_PORT:
            data_mid = section.rtp.muxId
        kind = next((kind for kind in _KINDS.get(section.kind, ()) if kind not in streams), None)
        if kind is not None:
            streams[kind] = _read_stream(kind, section)
            mids[kind] = section.rtp.muxId
            _check_extension(section)
    if data_mid is None or len(streams) != len(StreamKind):
        raise RemoteProtocolError("The session description lacks sound, camera, screen or the data channel.")
    if len({*mids.values(), data_mid}) != len(mids) + 1:
        raise RemoteProtocolError("The session description names two sections alike.")
    _check_distinct(streams)
    if transport.dtls is None or transport.ice is None:
        raise RemoteProtocolError("The session description lacks a DTLS role or ICE credentials.")
    return LegDescription(
        ufrag=_matching(_UFRAG, transport.ice.usernameFragment, "ICE user name"),
        password=_matching(_PASSWORD, transport.ice.password, "ICE password"),
        fingerprint=_read_fingerprint(transport.dtls),
        setup=_SETUP_OF_ROLE[transport.dtls.role],
        streams=streams,
        mids=mids,
        data_mid=data_mid,
        candidates=_read_candidates(transport),
        candidates_complete=transport.ice_candidates_complete,
    )


def _matching(pattern: re.Pattern[str], value: str | None, name: str) -> str:
    if value is None or not pattern.fullmatch(value):
        raise RemoteProtocolError(f"The session description lacks a valid {name}.")
    return value


def _read_fingerprint(dtls: RTCDtlsParameters) -> str:
    values = {print_.value.upper() for print_ in dtls.fingerprints if print_.algorithm.lower() == "sha-256"}
    if len(values) != 1:
        raise RemoteProtocolError("The session description needs exactly one SHA-256 fingerprint.")
    return _matching(_FINGERPRINT, values.pop(), "fingerprint")


def _read_candidates(section: sdp.MediaDescription) -> tuple[str, ...]:
    if len(section.ice_candidates) > MAX_CANDIDATES:
        raise RemoteProtocolError("The session description has too many candidates.")
    return tuple(sdp.candidate_to_sdp(candidate) for candidate in section.ice_candidates)


def _read_stream(kind: StreamKind, section: sdp.MediaDescription) -> StreamIdentity:
    if section.profile != _MEDIA_PROFILE or not section.rtcp_mux:
        raise RemoteProtocolError("The session description has a stream without SRTP, feedback or rtcp-mux.")
    payload_types: dict[Format, int] = {}
    rtx_payload_types: dict[Format, int] = {}
    for codec in section.rtp.codecs:
        format_ = _format_of(kind, codec)
        if format_ is not None:
            payload_types.setdefault(format_, _in_range(codec.payloadType, 96, 127))
    for codec in section.rtp.codecs:
        for format_, payload_type in payload_types.items():
            if codec.name.lower() == "rtx" and codec.parameters.get("apt") == payload_type:
                rtx_payload_types.setdefault(format_, _in_range(codec.payloadType, 96, 127))
    opus = payload_types.get(AudioFormat.OPUS)
    red = next((codec for codec in section.rtp.codecs if codec.payloadType == payload_types.get(AudioFormat.RED)), None)
    if red is not None and f"{opus}/{opus}" not in red.parameters:
        del payload_types[AudioFormat.RED]  # the redundancy of something else
    if not payload_types or (kind is StreamKind.AUDIO and AudioFormat.OPUS not in payload_types):
        raise RemoteProtocolError(f"The session description has no codec for {kind.value} that we know.")
    if not section.ssrc:
        raise RemoteProtocolError("The session description does not name its streams.")
    pairs = [tuple(group.items) for group in section.ssrc_group if group.semantic == "FID" and len(group.items) == 2]
    if not pairs or not rtx_payload_types:
        return StreamIdentity(_in_range(int(section.ssrc[0].ssrc), 1, 0xFFFF_FFFF), payload_types)
    ssrc, rtx_ssrc = (_in_range(int(number), 1, 0xFFFF_FFFF) for number in pairs[0])
    return StreamIdentity(ssrc, payload_types, rtx_ssrc, rtx_payload_types)


def _format_of(kind: StreamKind, codec: RTCRtpCodecParameters) -> Format | None:
    """What a codec of a section is to us: one of another profile is nothing."""
    if codec.name.lower() == "h264" and codec.parameters.get("packetization-mode") != "1":
        return None
    if codec.name.lower() == "vp9" and codec.parameters.get("profile-id", "0") != "0":
        return None
    named = (codec.name.lower(), codec.clockRate)
    return next((each for each in _FORMATS[kind] if (_NAMES[each][0].lower(), _NAMES[each][1]) == named), None)


def _check_extension(section: sdp.MediaDescription) -> None:
    """The extension has one number for everybody, so that packets are written and read in one fixed shape."""
    numbers = [each.id for each in section.rtp.headerExtensions if each.uri == TRANSPORT_SEQUENCE_URI]
    if numbers != [TRANSPORT_SEQUENCE_ID]:
        raise RemoteProtocolError("The session description has a stream without our transport-wide numbers.")


def _in_range(value: int | None, low: int, high: int) -> int:
    if value is None or not low <= value <= high:
        raise RemoteProtocolError("The session description has a number out of its range.")
    return value


def _check_distinct(streams: Mapping[StreamKind, StreamIdentity]) -> None:
    identities = streams.values()
    ssrcs = [ssrc for i in identities for ssrc in (i.ssrc, i.rtx_ssrc) if ssrc is not None]
    # Camera and screen may share a number where it stands for the same (RFC 9143 §10.1.2).
    meanings = {(number, format_, False) for i in identities for format_, number in i.payload_types.items()}
    meanings |= {(number, format_, True) for i in identities for format_, number in i.rtx_payload_types.items()}
    if len(set(ssrcs)) != len(ssrcs) or len({number for number, _, _ in meanings}) != len(meanings):
        raise RemoteProtocolError("The session description uses a stream number twice.")
