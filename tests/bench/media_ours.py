"""One end of our own media: a leg and a session, sealed, without a node above them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from entrenous import Sink, Source, StreamKind
from entrenous.crypto.sframe import FrameOpener, FrameSealer
from entrenous.media.engine import MediaEngine, MediaSettings
from entrenous.media.events import LegEvent, LegFailed, Secured


class OurEnd:
    """Implements `media_end.End`.

    Args:
        source, sink: what is sent and received.
        offers: whether this end speaks first.
        loopback: stay within this machine.
        video_bitrate: bits a second of the encoder, None: its own choice.
    """

    def __init__(
        self, source: Source, sink: Sink, *, offers: bool, loopback: bool = False, video_bitrate: int | None = None
    ) -> None:
        settings = MediaSettings(loopback_only=loopback)
        if video_bitrate is not None:
            settings = replace(settings, video_bitrate=video_bitrate)
        self._engine = MediaEngine(settings)
        self._source, self._sink = source, sink
        self._offers = offers
        self._secured: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._streams = self._engine.new_streams()
        self._leg = self._engine.leg(
            0, self._streams, controlling=offers, relay_only=False, ice_servers=(), on_event=self._on_event
        )
        self._session = self._engine.session(
            streams=self._streams,
            sealers={kind: FrameSealer(0, _key(kind, of_offerer=offers)) for kind in StreamKind},
            openers={kind: FrameOpener(0, _key(kind, of_offerer=not offers)) for kind in StreamKind},
            source=source,
            sink=sink,
            on_event=lambda _: None,
        )

    def _on_event(self, event: LegEvent) -> None:
        if isinstance(event, Secured) and not self._secured.done():
            self._secured.set_result(None)
        if isinstance(event, LegFailed) and not self._secured.done():
            self._secured.set_exception(RuntimeError(event.sentence))

    async def offer(self) -> str:
        return await self._leg.offer()

    async def answer(self, offer: str) -> str:
        return await self._leg.answer(offer)

    async def take(self, answer: str) -> None:
        await self._leg.accept_answer(answer)

    async def start(self) -> None:
        await self._secured
        await self._session.open()
        self._session.attach(self._leg)
        self._session.open_gate()

    async def figures(self) -> dict[str, Any]:
        stats = self._session.stats()
        audio = stats.audio
        return {
            "blocks": audio.played + audio.concealed + audio.recovered,
            "concealed": audio.concealed,
            "codec": stats.video.codec,
            "raw": stats.to_dict(),
        }

    async def close(self) -> None:
        await self._session.close()
        await self._leg.close()


def _key(kind: StreamKind, *, of_offerer: bool) -> bytes:
    """A base key that both ends know without a handshake: what is measured is not the secrecy of a benchmark."""
    return bytes([list(StreamKind).index(kind), of_offerer]) * 16
