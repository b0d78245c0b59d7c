"""DTLS, SRTP and the data channel of one leg, over aiortc's transports.

Media does not pass through aiortc's reader: the ICE agent hands datagrams over as the socket is read, and
`unprotect` / `protect` are plain calls. aiortc's reader is left with DTLS and SCTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pylibsrtp
from aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from aiortc.rtcsctptransport import Chunk, DataChunk, InitChunk, RTCSctpCapabilities, RTCSctpTransport
from OpenSSL import SSL

from entrenous.errors import LocalProtocolError
from entrenous.media.description import MAX_MESSAGE, SCTP_PORT

from .flights import Flights
from .ice import IceAgent

MAX_UNSENT = 256 * 1024
"""Bytes of messages that may wait to be sent; more is refused."""

_FIRST_RETRY = 0.5
"""Seconds after which the association's first chunks are sent again; the path below has just been measured, and the
three seconds of RFC 9260 §16 would be felt."""

_CHANNEL = 0
"""The one stream of the data channel, agreed beforehand, so that it opens with the association."""


class _Repeating:
    """The path as DTLS sees it: what is asked of an RTCIceTransport, and lost flights are sent again.

    Args:
        path: the ICE agent.
    """

    def __init__(self, path: IceAgent) -> None:
        self._path = path
        self._flights = Flights()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def role(self) -> str:
        return self._path.role

    async def _recv(self) -> bytes:
        data = await self._path._recv()
        self._flights.received()
        return data

    async def _send(self, data: bytes) -> None:
        now = time.monotonic()
        self._flights.sent(data, now)
        self._path.send_now(data)
        self._act()

    def confirmed(self) -> None:
        """What follows the handshake has arrived, or nothing will."""
        self._flights.confirmed()
        self._act()

    def _act(self) -> None:
        now = time.monotonic()
        for datagram in self._flights.poll(now):
            self._path.send_now(datagram)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._flights.deadline < float("inf"):
            self._timer = asyncio.get_running_loop().call_later(self._flights.deadline - now, self._act)


class SecureTransport(RTCDtlsTransport):
    """DTLS-SRTP over a path.

    Args:
        path: the ICE agent.
        client: whether this side starts the handshake.
    """

    def __init__(self, path: IceAgent, *, client: bool) -> None:
        self._repeating = _Repeating(path)
        # It asks the path for `role`, `_recv` and `_send` and nothing else of an RTCIceTransport.
        certificates = [RTCCertificate.generateCertificate()]
        super().__init__(self._repeating, certificates)  # type: ignore[arg-type]  # see above
        self._set_role("client" if client else "server")
        self._is_confirmed = False
        self.fingerprint_refused = False
        """Whether the peer's certificate was not the one that its description announced."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of our certificate, as descriptions write it."""
        prints: list[RTCDtlsFingerprint] = self.getLocalParameters().fingerprints
        return str(next(each.value for each in prints if each.algorithm == "sha-256"))

    def be(self, *, client: bool) -> None:
        """Take the DTLS role that the answer settled, before `secure`."""
        self._set_role("client" if client else "server")

    async def secure(self, fingerprint: str) -> bool:
        """Shake hands and check that the peer's certificate has this SHA-256 fingerprint; whether it worked."""
        expected = RTCDtlsFingerprint(algorithm="sha-256", value=fingerprint)
        await self.start(RTCDtlsParameters(fingerprints=[expected]))
        return bool(self.state == "connected")

    def _validate_peer_identity(self, parameters: RTCDtlsParameters) -> None:
        super()._validate_peer_identity(parameters)
        self.fingerprint_refused = self.state == "failed"

    async def part(self) -> None:
        """Tell the peer that this connection ends, also when it failed on our side only, and stop reading."""
        self._repeating.confirmed()
        reader = self._task
        if self._ssl is not None and self.state == "failed":
            try:
                self._ssl.shutdown()
                await self._write_ssl()
            except (SSL.Error, ConnectionError):
                pass  # the handshake never got far enough for the peer to notice
        await self.stop()
        if reader is not None:
            await asyncio.wait({reader})
            if not reader.cancelled():
                reader.exception()  # it has logged its end itself

    def protect(self, packet: bytes) -> bytes | None:
        """Encrypt one RTP or RTCP packet; None before the handshake is done or when SRTP refuses it."""
        if self._tx_srtp is None:
            return None
        try:
            protected = self._tx_srtp.protect_rtcp(packet) if is_rtcp(packet) else self._tx_srtp.protect(packet)
        except pylibsrtp.Error:
            return None
        return bytes(protected)

    def unprotect(self, datagram: bytes) -> bytes | None:
        """Check and decrypt one SRTP or SRTCP packet; None when it is forged, repeated or malformed."""
        try:
            if is_rtcp(datagram):
                packet = bytes(self._rx_srtp.unprotect_rtcp(datagram))
            else:
                packet = bytes(self._rx_srtp.unprotect(datagram))
        except pylibsrtp.Error:
            return None
        self.confirmed()
        return packet

    def confirmed(self) -> None:
        """The peer has finished the handshake too: nothing of it needs to be repeated any more."""
        if not self._is_confirmed:
            self._is_confirmed = True
            self._repeating.confirmed()

    @property
    def ready(self) -> bool:
        """Whether the peer is verified and SRTP has its keys."""
        return self._rx_srtp is not None

    async def _send_data(self, data: bytes) -> None:
        # SCTP's timers go on for a moment after DTLS has ended; to them it is a lost packet.
        if self.state == "connected":
            await super()._send_data(data)


def is_rtcp(packet: bytes) -> bool:
    """Whether an RTP or RTCP packet, protected or not, is RTCP (RFC 5761 §4)."""
    return len(packet) >= 2 and 192 <= packet[1] <= 223


class DataChannel(RTCSctpTransport):
    """One reliable, ordered channel for messages of at most 64 KiB.

    Args:
        transport: DTLS, connected.
        on_open: told once when messages can be sent.
        on_message: told each message.
    """

    def __init__(
        self, transport: SecureTransport, *, on_open: Callable[[], None], on_message: Callable[[bytes], None]
    ) -> None:
        super().__init__(transport, port=SCTP_PORT)
        self._secure = transport
        self._on_message = on_message
        self._rto = _FIRST_RETRY
        parameters = RTCDataChannelParameters(label="call", negotiated=True, id=_CHANNEL)
        self._channel = RTCDataChannel(self, parameters)
        self._channel.on("open", on_open)
        self.refused = 0
        """Chunks and messages that the peer should not have sent."""

    async def open(self) -> None:
        """Start the association; `on_open` follows."""
        await self.start(RTCSctpCapabilities(maxMessageSize=MAX_MESSAGE), SCTP_PORT)

    def send(self, message: bytes) -> None:
        """Queue one message; raises LocalProtocolError when it is too long, the channel is shut or far behind."""
        if len(message) > MAX_MESSAGE:
            raise LocalProtocolError(f"A message may have {MAX_MESSAGE} bytes, not {len(message)}.")
        if self._channel.readyState != "open":
            raise LocalProtocolError("The data channel is not open.")
        if self._channel.bufferedAmount + len(message) > MAX_UNSENT:
            raise LocalProtocolError("The data channel is too far behind to take another message.")
        self._channel.send(message)

    def path_changed(self) -> None:
        """Send what is unacknowledged again at once: it was probably lost with the path before."""
        if self._t3_handle is not None:
            self._t3_handle.cancel()
            self._t3_expired()

    def _t1_expired(self) -> None:
        # The library gives the association up after some tries; here it lives as long as its leg.
        self._t1_failures = 0
        super()._t1_expired()

    async def _send_chunk(self, chunk: Chunk) -> None:
        # An INIT goes out with tag 0 (RFC 9260 §8.5.1). The library puts the peer's tag into one that it sends again
        # after the peer's own has arrived; two such ends would drop each other's for ever.
        known = self._remote_verification_tag
        if isinstance(chunk, InitChunk):
            self._remote_verification_tag = 0
        try:
            await super()._send_chunk(chunk)  # nothing below waits for anything
        finally:
            self._remote_verification_tag = known

    async def _handle_data(self, data: bytes) -> None:
        # The library asserts what it expects of a well-behaved peer, and its reader would end with the assertion.
        self._secure.confirmed()
        try:
            await super()._handle_data(data)
        except (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError):
            self.refused += 1

    async def _receive_data_chunk(self, chunk: DataChunk) -> None:
        # A peer that overruns the window it was given, or opens channels of its own, would fill our memory.
        if self._advertised_rwnd < 0:
            self.refused += 1
        elif chunk.stream_id != _CHANNEL:
            self.refused += 1
            self._mark_received(chunk.tsn)  # or it would come again and again
            self._sack_needed = True
        else:
            await super()._receive_data_chunk(chunk)

    async def _data_channel_receive(self, stream_id: int, pp_id: int, data: bytes) -> None:
        if pp_id != _BINARY or len(data) > MAX_MESSAGE:
            self.refused += 1
            return
        self._on_message(data)


_BINARY = 53
"""SCTP payload protocol identifier of a binary message (RFC 8831 §8)."""
