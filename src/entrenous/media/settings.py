"""What the media of a node may be tuned by: time-outs, rates and which addresses to use."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class IceServer:
    """One STUN or TURN URL and the credential for it.

    Args:
        url: `stun:host[:port]`, `turn:host[:port][?transport=udp|tcp]` or `turns:host[:port]` (RFC 7064, RFC 7065).
        username: of the time-limited credential, None for STUN.
        password: of the same.
    """

    url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """Time-outs in seconds, rates in bits a second.

    Args:
        loopback_only: offer 127.0.0.1 and nothing else, for calls within one machine.
        path_timeout: from both descriptions known to a working pair of addresses, whatever is still to come.
        path_patience: how long every pair is checked, once all addresses of both ends are known, before none works.
        handshake_timeout: from there to DTLS verified.
        gather_timeout: for each STUN or TURN server.
        tls_ca_file: certificates trusted for `turns:` servers, in place of those of the system.
        close_timeout: how long a TURN server may take to free an allocation before it is left to expire.
        relay_hold: how long a direct path is waited for before one through a TURN server is taken; a direct one that
            comes later is moved to without a gap, so this only spares the detour.
        suspect_after: silence in RTP and RTCP after which a leg is doubted.
        stalled_after: and given up.
        rtcp_interval: between reports, also when muted; well under `suspect_after`.
        audio_bitrate: of Opus at most; `audio_planner` chooses what the path can take.
        video_bitrate: of each picture stream at most, on the wire with all headers.
        video_width, video_height: of the camera's pictures at most, pixels.
        video_fps: of these a second at most.
        video_hold: how long an incomplete picture is waited for before a key frame is asked for instead.
    """

    loopback_only: bool = False
    path_timeout: float = 20.0
    path_patience: float = 3.0
    handshake_timeout: float = 10.0
    gather_timeout: float = 5.0
    tls_ca_file: Path | None = None
    close_timeout: float = 1.0
    relay_hold: float = 0.15
    suspect_after: float = 0.5
    stalled_after: float = 1.0
    rtcp_interval: float = 0.2
    audio_bitrate: int = 48_000
    video_bitrate: int = 1_500_000
    video_width: int = 1280
    video_height: int = 720
    video_fps: int = 30
    video_hold: float = 0.4
