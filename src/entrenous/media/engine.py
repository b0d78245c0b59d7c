"""The interface that the node sees: legs, and the media that moves over them. Nothing here names a library.

A call makes its streams once, prepares *legs* (connections) while it rings, and builds one *session* when it
is answered. The session lives above legs: it moves from one to the next and keeps its streams, buffers and
frame keys. Nothing leaves a session before `open_gate`, and nothing ever leaves it without a frame key.

::

    engine  = MediaEngine(settings)
    streams = engine.new_streams()                     # once for a call
    leg     = engine.leg(0, streams, controlling=False, relay_only=False, ice_servers=(), on_event=...)
    offer   = await leg.offer()                        # to the peer, sealed
    await leg.accept_answer(answer)                    # from the peer, sealed → Secured
    session = engine.session(sealers=..., openers=..., source=..., sink=..., streams=streams, on_event=...)
    await session.open()                               # accepted: source and sink are opened
    session.attach(leg)
    session.open_gate()                                # frames flow
    ...
    await session.close(); await leg.close()
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from entrenous.crypto.sframe import FrameOpener, FrameSealer
from entrenous.errors import ConfigError

from .events import LegEvent, LegPath, SessionEvent
from .identities import LocalStreams, RemoteStreams, new_streams
from .settings import IceServer, MediaSettings
from .stats import CallStats
from .streams import Sink, Source, StreamKind

__all__ = [
    "IceServer",
    "Leg",
    "LocalStreams",
    "MediaEngine",
    "MediaSession",
    "MediaSettings",
    "RemoteStreams",
]


class PacketPath(Protocol):
    """What a session needs of a leg: raw RTP and RTCP, out and in."""

    @property
    def remote_streams(self) -> RemoteStreams:
        """The peer's streams as its description names them; raises LocalProtocolError before it is known."""

    @property
    def path(self) -> LegPath | None:
        """The pair in use, None before the leg is secured and after it closed."""

    def send_packet(self, packet: bytes) -> bool:
        """Send one plain RTP or RTCP packet, protected by SRTP; False when the leg cannot send now. Never blocks."""

    def receive_into(self, handler: Callable[[bytes, float], None] | None) -> None:
        """Give each plain RTP or RTCP packet and its arrival (monotonic seconds, stamped at the socket) to `handler`.

        The newest packets that arrived before (a bounded number) are given first. None: stop.
        """


class Leg(PacketPath, Protocol):
    """One connection of a call: ICE, DTLS and a data channel."""

    @property
    def generation(self) -> int:
        """The number that both ends know this leg by; later legs have higher ones."""

    async def offer(self) -> str:
        """Make the local description of the side that speaks first; raises LocalProtocolError when repeated."""

    async def answer(self, offer: str) -> str:
        """Take the peer's offer and make the answer to it; connecting starts in the background.

        Raises:
            RemoteProtocolError: the offer is malformed or offers what we cannot take.
            LocalProtocolError: this leg has made or answered an offer already.
        """

    async def accept_answer(self, answer: str) -> None:
        """Take the peer's answer to our offer; connecting starts in the background.

        Raises:
            RemoteProtocolError: the answer is malformed or does not fit the offer.
            LocalProtocolError: there is no open offer.
        """

    def add_candidate(self, line: str | None) -> None:
        """Take an address that the peer gathered later, None: there will be no more; raises RemoteProtocolError."""

    def network_changed(self) -> None:
        """Look for addresses that came or went, and move to a path that works; harmless in any state.

        New addresses are reported by `CandidateGathered`, the move by `PathChanged`.
        """

    def use_servers(self, ice_servers: Sequence[IceServer]) -> None:
        """Use these STUN and TURN servers and credentials for whatever is gathered from now on.

        An allocation that is in use stays; one that has to be renewed is renewed with them.

        Raises:
            ConfigError: a server's URL is malformed; the servers before stay in use.
        """

    def send_data(self, message: bytes) -> None:
        """Send one message reliably and in order.

        Raises:
            LocalProtocolError: the channel is not open, the message is longer than 64 KiB, or too much of what
                was sent before is still unacknowledged.
        """

    async def close(self) -> None:
        """Tell the peer and give everything back, within `close_timeout`; harmless when repeated. No event follows."""


class MediaSession(Protocol):
    """The streams of one answered call, both directions."""

    def attach(self, leg: PacketPath) -> None:
        """Send over this leg from now on and receive from it too; the one before stays heard until it closes.

        Raises:
            RemoteProtocolError: the peer's streams on it are not those of the first leg.
        """

    async def open(self) -> None:
        """On accept: open the source and the sink; nothing is sent or played yet.

        Raises:
            MediaError: the source or the sink cannot be opened; the session is closed.
            LocalProtocolError: it was opened before.
        """

    def open_gate(self) -> None:
        """Let frames flow, from here only.

        Raises:
            LocalProtocolError: the session is not open, no leg is attached, or the gate was opened before.
        """

    def mute(self, kind: StreamKind, muted: bool) -> None:
        """Send silence instead of sound (packets keep their size and cadence), or no picture."""

    def hold(self, held: bool) -> None:
        """Send silence and no pictures, and play and show nothing, until it is let go on."""

    def peer_sends(self, kinds: Collection[StreamKind]) -> None:
        """Hear from the peer which of camera and screen it sends: what is not among these is not decoded."""

    async def use_source(self, source: Source | None, kinds: Collection[StreamKind] = ...) -> None:
        """Send what another source has from now on; the one before is closed once the new one has delivered.

        Args:
            source: not started yet; None: silence, and no picture.
            kinds: of AUDIO and VIDEO those that it is to replace, both unless given.

        Raises:
            MediaError: it does not start; everything stays as it was.
            LocalProtocolError: the session is not open.
        """

    async def share_screen(self, source: Source | None) -> None:
        """Send the picture of a source as that of the screen, None: no longer; raises like `use_source`."""

    def sends(self, kind: StreamKind) -> bool:
        """Whether there is a source for this stream that has not ended."""

    def path_changed(self) -> None:
        """Say that the leg in use goes on over another pair of addresses: its rate has to be found anew."""

    def stats(self) -> CallStats:
        """Figures up to now."""

    async def close(self) -> None:
        """Stop both directions, close source and sink, free codecs and threads; harmless when repeated.

        Raises:
            MediaError: what was received could not be written in full; everything is given back all the same.
        """


class MediaEngine:
    """Makes the legs and media sessions of all calls of a node.

    Args:
        settings: time-outs, rates, whether loopback addresses may be used.
    """

    def __init__(self, settings: MediaSettings | None = None) -> None:
        self.settings = settings if settings is not None else MediaSettings()

    def load(self) -> None:
        """Load the libraries that legs and sessions are made of, so that no call has to wait for that; may block."""
        from . import session, transport  # noqa: F401 - loaded for what comes later
        from .video_codecs import best_codecs

        best_codecs()

    def takes(self, server: IceServer) -> bool:
        """Whether a STUN or TURN server that a remote names is one that legs can ask."""
        from .transport.servers import parse_server

        try:
            parse_server(server)
        except ConfigError:
            return False
        return True

    def new_streams(self) -> LocalStreams:
        """Draw the stream numbers of one call; they stay the same on all of its legs."""
        from .video_codecs import best_codecs  # here for the same reason as the transport

        return new_streams(best_codecs())

    def leg(
        self,
        generation: int,
        streams: LocalStreams,
        *,
        controlling: bool,
        relay_only: bool,
        ice_servers: Sequence[IceServer],
        on_event: Callable[[LegEvent], None],
        peer_informed: Callable[[], bool] = lambda: True,
    ) -> Leg:
        """Make one connection of a call; nothing is sent and no socket is opened before `offer` or `answer`.

        Args:
            generation: the number that both ends know it by.
            streams: what `new_streams` gave for this call.
            controlling: whether this side decides the ICE pair (RFC 8445 §6.1.1); exactly one side does. It is
                independent of who offers: pass True on the caller's side and False on the callee's.
            relay_only: reveal and use no address but those of TURN servers.
            ice_servers: STUN and TURN servers; none means host addresses only, never a public server.
            on_event: told what happens, on the event loop.
            peer_informed: whether the peer has received all that was said to it; while it has not, a path that does
                not answer is no reason to give up.
        """
        # Imported here: it takes a quarter of a second, which a command that makes no call need not wait for.
        from .transport import TransportLeg

        return TransportLeg(
            generation,
            streams,
            controlling=controlling,
            relay_only=relay_only,
            ice_servers=ice_servers,
            settings=self.settings,
            on_event=on_event,
            peer_informed=peer_informed,
        )

    def session(
        self,
        *,
        streams: LocalStreams,
        sealers: Mapping[StreamKind, FrameSealer],
        openers: Mapping[StreamKind, FrameOpener],
        source: Source,
        sink: Sink,
        on_event: Callable[[SessionEvent], None],
    ) -> MediaSession:
        """Make the media of one answered call.

        The sealers and openers are shared with the call, which rotates them itself: the next frame uses the new
        key. A kind without a sealer is never sent, one without an opener never played.

        Args:
            streams: what `new_streams` gave for this call.
            sealers: frame keys of what is sent; AUDIO must be there.
            openers: frame keys of what is received.
            source: what to send; started by `open`, closed by `close`. Without sound, silence is sent, so that
                the cadence is that of any other call; without picture there is none.
            sink: where to put what arrives; started by `open`, closed by `close`.
            on_event: told what happens, on the event loop.

        Raises:
            LocalProtocolError: there is no sealer for sound.
        """
        from .session import CallSession  # here for the same reason as the transport

        return CallSession(
            streams=streams,
            sealers=sealers,
            openers=openers,
            source=source,
            sink=sink,
            settings=self.settings,
            on_event=on_event,
        )
