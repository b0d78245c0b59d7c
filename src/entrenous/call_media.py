"""The media of one call between accept and end: opened with the keys, gated, moved from leg to leg, closed."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Protocol, assert_never

from .crypto.call_secrets import CallSecrets
from .crypto.messages import MediaState
from .errors import LocalProtocolError
from .events import MediaProblem, PeerMedia, SendingEnded
from .media import events as media
from .media.devices import DeviceChange
from .media.engine import Leg as Connection
from .media.engine import LocalStreams, MediaEngine, MediaSession
from .media.sinks import NullSink
from .media.sources import CombinedSource
from .media.stats import CallStats
from .media.streams import Sink, Source, StreamKind

CALL_STREAMS = (StreamKind.AUDIO, StreamKind.VIDEO, StreamKind.SCREEN)
"""What every call has ready in both directions, used or not."""

MUTABLE = (StreamKind.AUDIO, StreamKind.VIDEO)
"""What can be muted; a screen is shared or not."""


class MediaWatcher(Protocol):
    """Who is told what happens to the media."""

    def media_stalled(self) -> None:
        """Nothing has arrived for too long."""

    def media_flows(self) -> None:
        """The peer is heard on the leg in use: for the first time, or again."""

    def first_media(self, kind: StreamKind, at: float) -> None:
        """The first sound or picture was handed to the sink at monotonic time `at`."""

    def media_event(self, event: SendingEnded | MediaProblem | DeviceChange) -> None:
        """Something happened to a source or a sink; the call goes on."""

    def media_changed(self) -> None:
        """The peer is to be told what is switched on and off: it has changed, or media moved to another leg."""


class CallMedia:
    """Source, sink and session of one call.

    Args:
        engine: what makes sessions.
        watcher: who is told.
    """

    def __init__(self, engine: MediaEngine, watcher: MediaWatcher) -> None:
        self.source: Source | None = None
        self.sink: Sink | None = None
        self.streams: LocalStreams = engine.new_streams()
        self.muted = dict.fromkeys(MUTABLE, False)
        self.held = False
        self._engine = engine
        self._watcher = watcher
        self._session: MediaSession | None = None
        self._connection: Connection | None = None
        self._flowing = False
        self._states = 0
        self._peer_sends: Collection[StreamKind] = CALL_STREAMS
        self._opened = asyncio.Event()
        self._closed = False
        self._final = CallStats()

    def choose_like(self, other: CallMedia) -> None:
        """Take over what another call was to send, receive, mute and hold."""
        self.source, self.sink, self.muted, self.held = other.source, other.sink, other.muted, other.held

    async def open(self, secrets: CallSecrets) -> None:
        """Open source and sink under the keys of the call; no frame passes yet.

        Raises:
            MediaError: source or sink do not open.
            LocalProtocolError: a key is missing.
        """
        try:
            if self._closed:
                return
            session = self._engine.session(
                streams=self.streams,
                sealers={kind: secrets.sealer(kind.value) for kind in CALL_STREAMS},
                openers={kind: secrets.opener(kind.value) for kind in CALL_STREAMS},
                source=self.source or CombinedSource(),
                sink=self.sink or NullSink(),
                on_event=self._take,
            )
            for kind, muted in self.muted.items():
                session.mute(kind, muted)
            session.hold(self.held)
            session.peer_sends(self._peer_sends)
            self._session = session
            await session.open()
        finally:
            self._opened.set()

    async def open_gate(self, connection: Connection) -> None:
        """Let frames pass over this connection, as soon as source and sink are open."""
        if self._connection is None:
            self._connection = connection
        await self._opened.wait()
        if self._session is not None and not self._closed:
            # While a camera took its time, the call may have moved on to a newer connection.
            self._session.attach(self._connection)
            self._session.open_gate()
            self._flowing = True
            self._watcher.media_changed()

    def move(self, connection: Connection) -> None:
        """Send over this connection from now on; raises RemoteProtocolError when its streams are others."""
        self._connection = connection
        if self._session is not None and self._flowing and not self._closed:
            self._session.attach(connection)
            self._watcher.media_changed()

    def mute(self, kind: StreamKind, muted: bool) -> None:
        """Switch one of our streams off or on; raises LocalProtocolError for a stream that calls do not have."""
        if kind not in self.muted:
            raise LocalProtocolError(f"A call has no stream {kind.value} that could be muted.")
        self.muted[kind] = muted
        if self._session is not None:
            self._session.mute(kind, muted)
        self._watcher.media_changed()

    def hold(self, held: bool) -> None:
        """Send silence and no pictures, and play nothing, or go on."""
        self.held = held
        if self._session is not None:
            self._session.hold(held)
        self._watcher.media_changed()

    def peer_switched(self, switched: PeerMedia) -> None:
        """Hear from the peer what it has switched on and off."""
        self._peer_sends = sent_by(switched)
        if self._session is not None:
            self._session.peer_sends(self._peer_sends)

    async def send(self, source: Source | None, only: StreamKind | None) -> None:
        """Send what another source has; raises MediaError, or LocalProtocolError while media are not open."""
        if only is not None and only not in MUTABLE:
            raise LocalProtocolError("A screen is shared beside what a call sends.")
        session = await self._live_session()
        await session.use_source(source, MUTABLE if only is None else (only,))
        self._watcher.media_changed()

    async def share_screen(self, source: Source | None) -> None:
        """Share a screen, None: no longer; raises MediaError, or LocalProtocolError while media are not open."""
        session = await self._live_session()
        await session.share_screen(source)
        self._watcher.media_changed()

    async def _live_session(self) -> MediaSession:
        if self._session is None or self._closed:
            raise LocalProtocolError("Sources are switched once a call is answered, and until it ends.")
        await self._opened.wait()
        return self._session

    def state(self) -> MediaState:
        """What the peer is to know of what is sent now."""
        self._states += 1
        session = self._session
        return MediaState(
            number=self._states,
            audio_muted=self.muted[StreamKind.AUDIO],
            video_muted=self.muted[StreamKind.VIDEO],
            camera_on=session is not None and session.sends(StreamKind.VIDEO),
            screen_on=session is not None and session.sends(StreamKind.SCREEN),
            held=self.held,
        )

    def path_changed(self) -> None:
        """Say that the connection in use goes on over another path."""
        if self._session is not None and self._flowing and not self._closed:
            self._session.path_changed()

    def stats(self) -> CallStats:
        """Figures up to now, or those of the end."""
        return self._final if self._session is None or self._closed else self._session.stats()

    async def close(self) -> None:
        """Stop both directions and give everything back.

        Raises:
            MediaError: what was received could not be written in full.
        """
        if self._closed:
            return
        if self._session is not None:
            self._final = self._session.stats()
        self._closed = True
        if self._session is None:
            self._opened.set()  # it never will be, and whoever waits for it shall not
        else:
            await self._opened.wait()
            await self._session.close()

    def _take(self, event: media.SessionEvent) -> None:
        watcher = self._watcher
        match event:
            case media.Flowing():
                watcher.media_flows()
            case media.Suspect():
                pass  # half a second of silence may still be one lost burst; the machine acts on a stall
            case media.Stalled():
                watcher.media_stalled()
            case media.FirstAudio():
                watcher.first_media(StreamKind.AUDIO, event.at)
            case media.FirstVideo():
                watcher.first_media(StreamKind.VIDEO, event.at)
            case media.FirstScreen():
                watcher.first_media(StreamKind.SCREEN, event.at)
            case media.SourceEnded():
                watcher.media_event(SendingEnded(event.kind))
                watcher.media_changed()
            case media.SourceFailed():
                watcher.media_event(MediaProblem(event.sentence))
                watcher.media_changed()
            case media.SinkFailed():
                watcher.media_event(MediaProblem(event.sentence))
            case DeviceChange():
                watcher.media_event(event)
            case _:
                assert_never(event)


def sent_by(switched: PeerMedia) -> Collection[StreamKind]:
    """The streams in which something comes from a peer that has switched on and off what `switched` says."""
    camera = switched.camera_on and not switched.video_muted and not switched.held
    screen = switched.screen_on and not switched.held
    comes = {StreamKind.AUDIO: True, StreamKind.VIDEO: camera, StreamKind.SCREEN: screen}
    return frozenset(kind for kind, is_sent in comes.items() if is_sent)
