"""What a call costs without any network: the same encoders and decoders, fed by the same source at the same times."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from entrenous import AudioSource, Sink, Source, VideoSource
from entrenous.media.codec_choice import PLENTY_HOLD, CodecChoice
from entrenous.media.codecs.base import Content, VideoCodec
from entrenous.media.codecs.opus import OpusDecoder, OpusEncoder
from entrenous.media.picture_ladder import PictureSize
from entrenous.media.settings import MediaSettings
from entrenous.media.video_codecs import best_codecs, make_decoder, make_encoder

FPS = 30


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
        self._codec: VideoCodec | None = None

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
        decoder = encoder = None
        while (picture := await source.read()) is not None:
            if encoder is None or decoder is None:
                width, height = picture.frame.width, picture.frame.height
                self._codec = settled_codec(PictureSize(width, height, FPS), self._video_bitrate)
                encoder = make_encoder(self._codec, width, height, self._video_bitrate, FPS)
                decoder = make_decoder(self._codec)
            shown = decoder.decode(encoder.encode(picture.frame).data)
            if shown is not None:
                self._sink.show(shown, time.monotonic())

    async def figures(self) -> dict[str, Any]:
        return {"blocks": self._blocks, "concealed": 0, "codec": self._codec and self._codec.value}

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def settled_codec(source: PictureSize, rate: float) -> VideoCodec:
    """What a call comes to use for a source at a rate that stays."""
    choice = CodecChoice(best_codecs(), Content.CAMERA)
    for now in (0.0, PLENTY_HOLD + 1.0):
        choice.update(now, rate, source, encoder_limited=False)
    return choice.codec
