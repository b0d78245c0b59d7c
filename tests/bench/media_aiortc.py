"""One end of plain aiortc, as its examples use it; what it gives is played by a device of the simplest kind."""

from __future__ import annotations

import asyncio
import fractions
import time
from collections import deque
from contextlib import suppress
from typing import Any

import aioice.ice
import av
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.codecs import vpx
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from entrenous import BLOCK_SAMPLES, SAMPLE_RATE, AudioSource, Samples, Sink, Source, VideoSource

from .media_people import BLOCK_SECONDS

_LONGEST_QUEUE = 100
"""Blocks, two seconds: more than any network here delays."""


class _SoundTrack(MediaStreamTrack):
    kind = "audio"

    def __init__(self, source: AudioSource) -> None:
        super().__init__()
        self._source = source
        self._count = 0

    async def recv(self) -> av.AudioFrame:
        block = await self._source.read()
        if block is None:
            raise MediaStreamError
        frame = av.AudioFrame.from_ndarray(block.samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        frame.time_base = fractions.Fraction(1, SAMPLE_RATE)
        frame.pts = self._count * BLOCK_SAMPLES
        self._count += 1
        return frame


class _PictureTrack(MediaStreamTrack):
    kind = "video"

    def __init__(self, source: VideoSource) -> None:
        super().__init__()
        self._source = source
        self._first: float | None = None

    async def recv(self) -> av.VideoFrame:
        picture = await self._source.read()
        if picture is None:
            raise MediaStreamError
        self._first = picture.captured_at if self._first is None else self._first
        picture.frame.time_base = fractions.Fraction(1, 90_000)
        picture.frame.pts = round((picture.captured_at - self._first) * 90_000)
        return picture.frame


class _Device:
    """Plays one block every 20 ms from the first one on, silence where there is none: all that a sound card does."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._queue: deque[Samples] = deque(maxlen=_LONGEST_QUEUE)
        self._filled = asyncio.Event()
        self.blocks = self.underruns = 0

    def put(self, block: Samples) -> None:
        self._queue.append(block)
        self._filled.set()

    async def run(self) -> None:
        await self._filled.wait()
        base = time.monotonic()
        while True:
            due = base + self.blocks * BLOCK_SECONDS
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.blocks += 1
            self.underruns += not self._queue
            self._sink.play(self._queue.popleft() if self._queue else np.zeros(BLOCK_SAMPLES, np.int16), due)


class AiortcEnd:
    """Implements `media_end.End`; the arguments are those of `media_ours.OurEnd`."""

    def __init__(
        self, source: Source, sink: Sink, *, offers: bool, loopback: bool = False, video_bitrate: int | None = None
    ) -> None:
        # An empty list, since None would mean a public STUN server.
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._source, self._sink = source, sink
        self._device = _Device(sink)
        self._tasks: list[asyncio.Task[None]] = []
        self._connected = asyncio.Event()
        if video_bitrate is not None:
            vpx.MIN_BITRATE = vpx.DEFAULT_BITRATE = vpx.MAX_BITRATE = video_bitrate
        if loopback:
            aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
        self._connection.on("track", self._on_track)
        self._connection.on("connectionstatechange", self._on_state)

    def _on_state(self) -> None:
        if self._connection.connectionState == "connected":
            self._connected.set()

    def _on_track(self, track: MediaStreamTrack) -> None:
        listen = self._listen if track.kind == "audio" else self._watch
        self._tasks.append(asyncio.ensure_future(listen(track)))

    def _add_tracks(self) -> None:
        assert self._source.audio is not None
        self._connection.addTrack(_SoundTrack(self._source.audio))
        if self._source.video is not None:
            self._connection.addTrack(_PictureTrack(self._source.video))

    async def offer(self) -> str:
        await self._source.start()
        self._add_tracks()
        await self._connection.setLocalDescription(await self._connection.createOffer())
        return str(self._connection.localDescription.sdp)

    async def answer(self, offer: str) -> str:
        await self._source.start()
        await self._sink.start()
        self._add_tracks()
        await self._connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await self._connection.setLocalDescription(await self._connection.createAnswer())
        return str(self._connection.localDescription.sdp)

    async def take(self, answer: str) -> None:
        await self._sink.start()
        await self._connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def start(self) -> None:
        await self._connected.wait()
        self._tasks.append(asyncio.ensure_future(self._device.run()))

    async def _listen(self, track: MediaStreamTrack) -> None:
        resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE, frame_size=BLOCK_SAMPLES)
        with suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.AudioFrame)
                for block in resampler.resample(frame):
                    self._device.put(block.to_ndarray()[0])

    async def _watch(self, track: MediaStreamTrack) -> None:
        with suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.VideoFrame)
                self._sink.show(frame, time.monotonic())

    async def figures(self) -> dict[str, Any]:
        return {"blocks": self._device.blocks, "concealed": self._device.underruns}

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                await self._connection.close()
