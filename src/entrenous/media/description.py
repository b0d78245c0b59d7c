"""The description of one leg and its SDP text (RFC 8866, RFC 9143 BUNDLE, RFC 8839 ICE, RFC 8842 DTLS).

Each side describes one bundled transport that carries sound (Opus), picture (VP8 with RFC 4588
retransmission) and a data channel (RFC 8841). The offer leaves the DTLS role open (`actpass`); the answerer
is the DTLS client (`active`). Payload types of an answer are those of its offer. No header extension is
offered: an audio level beside encrypted sound would tell what is said to whoever sees the packets.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from aiortc import sdp
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters
from aiortc.rtcicetransport import RTCIceParameters
from aiortc.rtcrtpparameters import RTCRtcpFeedback, RTCRtpCodecParameters
from aiortc.rtcsctptransport import RTCSctpCapabilities

from entrenous.errors import RemoteProtocolError

from .identities import StreamIdentity
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
        codecs = _codecs(kind, identity)
        media = "audio" if kind is StreamKind.AUDIO else "video"
        section = sdp.MediaDescription(media, 9, _MEDIA_PROFILE, [codec.payloadType for codec in codecs])
        section.rtp.codecs = codecs
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


def _codecs(kind: StreamKind, identity: StreamIdentity) -> list[RTCRtpCodecParameters]:
    if kind is StreamKind.AUDIO:
        # Two channels stand in the name whatever is inside (RFC 7587 §7); constant rate says nothing of the speech.
        return [
            RTCRtpCodecParameters(
                mimeType="audio/opus",
                clockRate=48000,
                channels=2,
                payloadType=identity.payload_type,
                parameters={"minptime": 20, "useinbandfec": 1, "cbr": "1", "stereo": 0},
            )
        ]
    codecs = [
        RTCRtpCodecParameters(
            mimeType="video/VP8",
            clockRate=90000,
            payloadType=identity.payload_type,
            rtcpFeedback=[
                RTCRtcpFeedback(type="nack"),
                RTCRtcpFeedback(type="nack", parameter="pli"),
                RTCRtcpFeedback(type="ccm", parameter="fir"),
            ],
        )
    ]
    if identity.rtx_payload_type is not None:
        codecs.append(
            RTCRtpCodecParameters(
                mimeType="video/rtx",
                clockRate=90000,
                payloadType=identity.rtx_payload_type,
                parameters={"apt": identity.payload_type},
            )
        )
    return codecs


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
    mids = {kind: kind.value for kind in StreamKind}
    data_mid = None
    for section in sections:
        if not _MID.fullmatch(section.rtp.muxId):
            raise RemoteProtocolError("The session description has a malformed section name.")
        if section.kind == "application" and section.sctp_port == SCTP_PORT:
            data_mid = section.rtp.muxId
        for kind in (StreamKind.AUDIO, StreamKind.VIDEO):
            if section.kind == kind.value and kind not in streams:
                streams[kind] = _read_stream(kind, section)
                mids[kind] = section.rtp.muxId
    if data_mid is None or StreamKind.AUDIO not in streams:
        raise RemoteProtocolError("The session description lacks sound or the data channel.")
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
    wanted = ("opus", 48000) if kind is StreamKind.AUDIO else ("vp8", 90000)
    codec = next((c for c in section.rtp.codecs if (c.name.lower(), c.clockRate) == wanted), None)
    if codec is None:
        raise RemoteProtocolError(f"The session description has no codec for {kind.value} that we know.")
    rtx = next(
        (c for c in section.rtp.codecs if c.name.lower() == "rtx" and c.parameters.get("apt") == codec.payloadType),
        None,
    )
    if not section.ssrc:
        raise RemoteProtocolError("The session description does not name its streams.")
    pairs = [tuple(group.items) for group in section.ssrc_group if group.semantic == "FID" and len(group.items) == 2]
    ssrc, rtx_ssrc = pairs[0] if pairs and rtx is not None else (section.ssrc[0].ssrc, None)
    return StreamIdentity(
        ssrc=_in_range(int(ssrc), 1, 0xFFFF_FFFF),
        payload_type=_in_range(codec.payloadType, 96, 127),
        rtx_ssrc=_in_range(int(rtx_ssrc), 1, 0xFFFF_FFFF) if rtx_ssrc is not None else None,
        rtx_payload_type=_in_range(rtx.payloadType, 96, 127) if rtx is not None and rtx_ssrc is not None else None,
    )


def _in_range(value: int | None, low: int, high: int) -> int:
    if value is None or not low <= value <= high:
        raise RemoteProtocolError("The session description has a number out of its range.")
    return value


def _check_distinct(streams: Mapping[StreamKind, StreamIdentity]) -> None:
    identities = streams.values()
    ssrcs = [ssrc for i in identities for ssrc in (i.ssrc, i.rtx_ssrc) if ssrc is not None]
    types = [number for i in identities for number in (i.payload_type, i.rtx_payload_type) if number is not None]
    if len(set(ssrcs)) != len(ssrcs) or len(set(types)) != len(types):
        raise RemoteProtocolError("The session description uses a stream number twice.")
