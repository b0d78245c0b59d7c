"""One connection of a call: describe, find a path, secure it, carry packets and messages.

::

    NEW ──offer()──► OFFERED ──accept_answer()──► CONNECTING ──► SECURED
     └───────────────answer()────────────────────────┘   │          │
                                                       FAILED     CLOSED ◄── close() from anywhere

The offerer is the DTLS server and the answerer its client (RFC 8842 §5.3: the answerer says `active`), so that
the handshake starts with the first packet of the side that knows both descriptions first.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum, auto

from aioice import Candidate

from entrenous.errors import LocalProtocolError, RemoteProtocolError
from entrenous.media.description import MAX_CANDIDATES, LegDescription, Setup, parse_description
from entrenous.media.events import (
    CandidateGathered,
    Data,
    DataOpen,
    LegClosed,
    LegEvent,
    LegFailed,
    LegPath,
    LegStage,
    PathChanged,
    PathFailure,
    PathFound,
    PathKind,
    Secured,
)
from entrenous.media.identities import LocalStreams, RemoteStreams
from entrenous.media.settings import IceServer, MediaSettings

from .bases import GatheringPolicy
from .ice import IceAgent, NoPathError, Origin
from .secure import DataChannel, SecureTransport
from .servers import parse_server

MAX_EARLY = 128
"""Packets kept for a session that is not attached yet, and for SRTP keys that are a moment away."""

SRTP_TAG = 16
"""Bytes by which protecting a packet makes it longer (RFC 7714 §5.2)."""

_MAX_CANDIDATE_LINE = 512

CANDIDATE_RATE = 8.0
"""Addresses a second that a peer whose network changes again and again may name, beyond the first `MAX_CANDIDATES`."""


class _State(Enum):
    NEW = auto()
    OFFERED = auto()
    CONNECTING = auto()
    SECURED = auto()
    FAILED = auto()
    CLOSED = auto()


class TransportLeg:
    """One ICE and DTLS connection with a data channel; the arguments are those of `MediaEngine.leg`.

    Raises:
        ConfigError: a server's URL is malformed.
    """

    def __init__(
        self,
        generation: int,
        streams: LocalStreams,
        *,
        controlling: bool,
        relay_only: bool,
        ice_servers: Sequence[IceServer],
        settings: MediaSettings,
        on_event: Callable[[LegEvent], None],
        peer_informed: Callable[[], bool] = lambda: True,
    ) -> None:
        self._generation = generation
        self._streams = streams
        self._servers = [parse_server(server) for server in ice_servers]
        self._settings = settings
        self._on_event = on_event
        self._state = _State.NEW
        self._local: LegDescription | None = None
        self._remote: LegDescription | None = None
        self._candidates_left = float(MAX_CANDIDATES)
        self._candidates_counted_at = time.monotonic()
        self._connecting: asyncio.Task[None] | None = None
        self._handler: Callable[[bytes, float], None] | None = None
        self._protected: deque[tuple[bytes, float, Origin]] = deque(maxlen=MAX_EARLY)
        self._early: deque[tuple[bytes, float]] = deque(maxlen=MAX_EARLY)
        self.packets_refused = 0
        """Datagrams that did not authenticate."""
        self._ice = IceAgent(
            controlling=controlling,
            policy=GatheringPolicy(
                relay_only=relay_only,
                loopback_only=settings.loopback_only,
                timeout=settings.gather_timeout,
                close_timeout=settings.close_timeout,
                tls_ca_file=settings.tls_ca_file,
            ),
            relay_hold=settings.relay_hold,
            patience=settings.path_patience,
            peer_informed=peer_informed,
            on_media=self._media_arrived,
            on_candidate=lambda line: self._emit(CandidateGathered(line)),
            on_moved=self._moved,
            on_consent_lost=lambda: self._lost("The other device stopped answering on this path."),
        )
        self._dtls = SecureTransport(self._ice, client=False)
        self._dtls.on("statechange", self._dtls_changed)
        self._data: DataChannel | None = None

    def __repr__(self) -> str:
        return f"<TransportLeg {self._generation} {self._state.name}>"

    @property
    def generation(self) -> int:
        """The number that both ends know this leg by."""
        return self._generation

    @property
    def remote_streams(self) -> RemoteStreams:
        """The peer's streams; raises LocalProtocolError before its description is known."""
        if self._remote is None:
            raise LocalProtocolError("The peer's description is not known yet.")
        return RemoteStreams(self._remote.streams)

    @property
    def path(self) -> LegPath | None:
        """The pair in use."""
        pair = self._ice.selected
        if pair is None:
            return None
        return LegPath(
            kind=PathKind.DIRECT if pair.is_direct else PathKind.RELAY,
            local_type="relay" if pair.local.relayed else "host",
            remote_type=pair.remote.kind,
            protocol="udp",
            overhead=pair.local.overhead + SRTP_TAG,
        )

    def _moved(self) -> None:
        path = self.path
        if self._state is _State.SECURED and path is not None:
            self._emit(PathChanged(path))
            if self._data is not None:
                self._data.path_changed()

    # Descriptions

    async def offer(self) -> str:
        """Make the local description of the side that speaks first."""
        self._step(_State.NEW, _State.OFFERED, "This leg has made or answered an offer already.")
        self._local = await self._describe(Setup.ACTPASS)
        return self._local.to_sdp()

    async def answer(self, offer: str) -> str:
        """Take the peer's offer and make the answer to it."""
        if self._state is not _State.NEW:
            raise LocalProtocolError("This leg has made or answered an offer already.")
        remote = parse_description(offer)
        if remote.setup is not Setup.ACTPASS:
            raise RemoteProtocolError("The offer leaves no choice of the DTLS role.")
        self._state = _State.CONNECTING
        local = await self._describe(Setup.ACTIVE)
        self._local = replace(
            local,
            streams={kind: identity.answering(remote.streams[kind]) for kind, identity in local.streams.items()},
            mids=remote.mids,
            data_mid=remote.data_mid,
        )
        self._connect_to(remote, client=True)
        return self._local.to_sdp()

    async def accept_answer(self, answer: str) -> None:
        """Take the peer's answer to our offer."""
        if self._state is not _State.OFFERED or self._local is None:
            raise LocalProtocolError("There is no open offer that this could answer.")
        remote = parse_description(answer)
        if remote.setup is Setup.ACTPASS:
            raise RemoteProtocolError("The answer does not choose a DTLS role.")
        if any(
            not identity.payload_types.items() <= self._local.streams[kind].payload_types.items()
            or not identity.rtx_payload_types.items() <= self._local.streams[kind].rtx_payload_types.items()
            for kind, identity in remote.streams.items()
        ):
            raise RemoteProtocolError("The answer does not fit the offer.")
        self._state = _State.CONNECTING
        self._connect_to(remote, client=remote.setup is Setup.PASSIVE)

    async def _describe(self, setup: Setup) -> LegDescription:
        await self._ice.gather(self._servers)
        return LegDescription(
            ufrag=self._ice.local_username,
            password=self._ice.local_password,
            fingerprint=self._dtls.fingerprint,
            setup=setup,
            streams=self._streams.by_kind,
            candidates=tuple(self._ice.local_candidates),
            candidates_complete=self._ice.gathered,
        )

    def add_candidate(self, line: str | None) -> None:
        """Take an address that the peer gathered later, None: there will be no more."""
        if line is None:
            self._ice.end_candidates()
            return
        now = time.monotonic()
        earned = (now - self._candidates_counted_at) * CANDIDATE_RATE
        self._candidates_left = min(self._candidates_left + earned, float(MAX_CANDIDATES))
        self._candidates_counted_at = now
        if self._candidates_left < 1.0:
            raise RemoteProtocolError("The peer has named too many addresses in too short a time.")
        self._candidates_left -= 1.0
        candidate = _parse_candidate(line)
        if candidate is not None:
            self._ice.take_candidate(candidate)

    def network_changed(self) -> None:
        """Look for addresses that came or went."""
        self._ice.network_changed()

    def use_servers(self, ice_servers: Sequence[IceServer]) -> None:
        """Take newer servers and credentials."""
        self._servers = [parse_server(server) for server in ice_servers]
        self._ice.use_servers(self._servers)

    # Connecting

    def _connect_to(self, remote: LegDescription, *, client: bool) -> None:
        self._remote = remote
        self._ice.remote_username = remote.ufrag
        self._ice.remote_password = remote.password
        self._dtls.be(client=client)
        for line in remote.candidates:
            self.add_candidate(line)
        if remote.candidates_complete:
            self._ice.end_candidates()
        self._connecting = asyncio.create_task(self._connect(remote.fingerprint))

    async def _connect(self, fingerprint: str) -> None:
        try:
            async with asyncio.timeout(self._settings.path_timeout):
                await self._ice.connect()
        except NoPathError as error:
            self._fail(LegStage.PATH, _SENTENCES[error.cause], error.cause)
            return
        except TimeoutError:
            self._fail(LegStage.PATH, _SENTENCES[PathFailure.TIMEOUT], PathFailure.TIMEOUT)
            return
        self._emit(PathFound())
        try:
            async with asyncio.timeout(self._settings.handshake_timeout):
                secured = await self._dtls.secure(fingerprint)
        except TimeoutError:
            secured = False
        if not secured:
            await self._dtls.part()
            refused = self._dtls.fingerprint_refused
            cause = PathFailure.FINGERPRINT if refused else PathFailure.TIMEOUT
            sentence = _SENTENCES[cause] if refused else "The encrypted connection could not be set up."
            self._fail(LegStage.HANDSHAKE, sentence, cause)
            return
        path = self.path
        if path is None:
            self._fail(LegStage.PATH, "The network path was lost at once.", PathFailure.NO_ANSWER)
            return
        self._state = _State.SECURED
        self._emit(Secured(path))
        for datagram, arrived_at, origin in self._protected:
            self._media_arrived(datagram, arrived_at, origin)
        self._protected.clear()
        self._data = DataChannel(
            self._dtls,
            on_open=lambda: self._emit(DataOpen()),
            on_message=lambda message: self._emit(Data(message)),
        )
        await self._data.open()

    def _fail(self, stage: LegStage, sentence: str, cause: PathFailure) -> None:
        if self._state is _State.CONNECTING:
            self._state = _State.FAILED
            self._emit(LegFailed(stage, sentence, cause))

    def _lost(self, sentence: str) -> None:
        if self._state is _State.SECURED:
            self._state = _State.FAILED
            self._emit(LegClosed(sentence))

    def _dtls_changed(self) -> None:
        if self._dtls.state == "closed":
            self._lost("The other device closed this connection.")

    def _step(self, expected: _State, following: _State, sentence: str) -> None:
        if self._state is not expected:
            raise LocalProtocolError(sentence)
        self._state = following

    def _emit(self, event: LegEvent) -> None:
        if self._state is not _State.CLOSED:
            self._on_event(event)

    # Packets and messages

    def send_packet(self, packet: bytes) -> bool:
        """Protect and send one RTP or RTCP packet; False when the leg cannot send now."""
        if self._state is not _State.SECURED:
            return False
        protected = self._dtls.protect(packet)
        return protected is not None and self._ice.send_now(protected)

    def receive_into(self, handler: Callable[[bytes, float], None] | None) -> None:
        """Give each packet and its arrival to `handler`, those kept from before first."""
        self._handler = handler
        while handler is not None and self._early:
            handler(*self._early.popleft())

    def _media_arrived(self, datagram: bytes, arrived_at: float, origin: Origin) -> None:
        if not self._dtls.ready:
            self._protected.append((datagram, arrived_at, origin))
            return
        packet = self._dtls.unprotect(datagram)
        if packet is None:
            self.packets_refused += 1
            return
        self._ice.heard(origin, arrived_at)
        if self._handler is None:
            self._early.append((packet, arrived_at))
        else:
            self._handler(packet, arrived_at)

    def send_data(self, message: bytes) -> None:
        """Send one message reliably and in order."""
        if self._data is None or self._state is not _State.SECURED:
            raise LocalProtocolError("The data channel is not open.")
        self._data.send(message)

    async def close(self) -> None:
        """Tell the peer and give everything back."""
        if self._state is _State.CLOSED:
            return
        self._state = _State.CLOSED
        self._handler = None
        self._early.clear()
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait({self._connecting})
        if self._data is not None:
            await self._data.stop()
        await self._dtls.part()
        await self._ice.close()


def _parse_candidate(line: str) -> Candidate | None:
    """Read one candidate (RFC 8839 §5.1); None for kinds that we do not use, such as TCP or a name to resolve."""
    if len(line) > _MAX_CANDIDATE_LINE:
        raise RemoteProtocolError("The candidate is too long.")
    try:
        candidate = Candidate.from_sdp(line.removeprefix("candidate:"))
    except ValueError as error:
        raise RemoteProtocolError("The candidate is malformed.") from error
    if candidate.component != 1 or candidate.transport.lower() != "udp" or candidate.type not in _TYPES:
        return None
    if not (1 <= candidate.port <= 65535 and 0 <= candidate.priority <= 0xFFFF_FFFF):
        raise RemoteProtocolError("The candidate has a number out of its range.")
    try:
        address = ipaddress.ip_address(candidate.host)
    except ValueError:
        return None
    if address.is_multicast or address.is_unspecified or (address.version == 6 and address.scope_id is not None):
        return None
    candidate.host = str(address)
    return candidate


_TYPES = frozenset({"host", "srflx", "prflx", "relay"})

_SENTENCES = {
    PathFailure.NO_NETWORK: "This device has no network connection.",
    PathFailure.NO_RELAY: "Only relays may be used here, and the server offers none.",
    PathFailure.RELAY_UNREACHABLE: "Only relays may be used here, and none could be reached.",
    PathFailure.RELAY_REFUSED: "Only relays may be used here, and the relay refused.",
    PathFailure.NO_ANSWER: "Nothing got through between the two devices on any network path.",
    PathFailure.FINGERPRINT: "The other end of the path is not the device that was called.",
    PathFailure.TIMEOUT: "No network path to the other device was found in time.",
}
