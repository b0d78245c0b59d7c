"""What a call costs without any network: the same encoders and decoders, fed by the same source at the same times."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from entrenous import AudioSource, Sink, Source, VideoSource
from entrenous.media.codecs.opus import OpusDecoder, OpusEncoder
from entrenous.media.settings import MediaSettings
from entrenous.media.video_codecs import best_codecs, make_decoder, make_encoder


class BareEnd:
    """Implements `media_end.End`, without anybody at the other end; the arguments are those of `media_ours.OurEnd`."""

    def __init__(
        self, source: Source, sink: Sink, *, offers: bool, loopback: bool = False, video_bitrate: int | None = None
    ) -> None:
        self._source, self._sink = source, sink
        settings = MediaSettings()
        self._audio_bitrate = settings.audio_bitrate
        self._video_bitrate = video_bitrate or settings.video_bitrate
        self._tasks: list[asyncio.Task[None]] = []
        self._blocks = 0

    async def offer(self) -> str:
        return ""

    async def answer(self, offer: str) -> str:
        return ""

    async def take(self, answer: str) -> None:
        pass

    async def start(self) -> None:
        await asyncio.gather(self._source.start(), self._sink.start())
        assert self._source.audio is not None
        self._tasks.append(asyncio.ensure_future(self._speak(self._source.audio)))
        if self._source.video is not None:
            self._tasks.append(asyncio.ensure_future(self._film(self._source.video)))

    async def _speak(self, source: AudioSource) -> None:
        encoder, decoder = OpusEncoder(), OpusDecoder()
        size = self._audio_bitrate // 50 // 8
        while (block := await source.read()) is not None:
            self._sink.play(decoder.decode(encoder.encode(block.samples, size)), time.monotonic())
            self._blocks += 1

    async def _film(self, source: VideoSource) -> None:
        codec = best_codecs()[0]
        decoder, encoder = make_decoder(codec), None
        while (picture := await source.read()) is not None:
            if encoder is None:
                width, height = picture.frame.width, picture.frame.height
                encoder = make_encoder(codec, width, height, self._video_bitrate, 30)
            shown = decoder.decode(encoder.encode(picture.frame).data)
            if shown is not None:
                self._sink.show(shown, time.monotonic())

    async def figures(self) -> dict[str, Any]:
        return {"blocks": self._blocks, "concealed": 0}

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
