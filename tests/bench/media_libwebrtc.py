"""One end of libwebrtc, the engine of Chromium, through the `wrtc` wheel: PCM and I420 in, PCM and I420 out.

What is played comes in 10 ms chunks from libwebrtc's own audio device thread, as it would go to a sound card.
"""

from __future__ import annotations

import asyncio
import time
from functools import cache
from typing import Any

import numpy as np
import webrtc
from webrtc.loopback import allow_loopback

from entrenous import BLOCK_SAMPLES, SAMPLE_RATE, AudioSource, Sink, Source, VideoSource

_CHUNK = SAMPLE_RATE // 100
_QUEUED_CHUNKS = 100


@cache
def _use_loopback() -> None:
    """Once for a process: it is refused when there is a connection already."""
    allow_loopback()


class LibwebrtcEnd:
    """Implements `media_end.End`; the arguments are those of `media_ours.OurEnd`, the sink is a `Listener`."""

    def __init__(
        self, source: Source, sink: Sink, *, offers: bool, loopback: bool = False, video_bitrate: int | None = None
    ) -> None:
        if loopback:
            _use_loopback()
        self._source, self._sink = source, sink
        self._video_bitrate = video_bitrate
        self._connection = webrtc.RTCPeerConnection()
        self._tasks: list[asyncio.Task[None]] = []
        self._connected, self._gathered = asyncio.Event(), asyncio.Event()
        self._connection.on("track", lambda event: self._on_track(event.track))
        self._connection.on("connectionstatechange", self._on_state)
        self._connection.on("icecandidate", lambda event: event.candidate is None and self._gathered.set())
        self._connection.on("icegatheringstatechange", self._on_gathering)

    def _on_state(self, _event: object) -> None:
        if self._connection.connection_state == "connected":
            self._connected.set()

    def _on_gathering(self, _event: object) -> None:
        if self._connection.ice_gathering_state == "complete":
            self._gathered.set()

    def _on_track(self, track: webrtc.MediaStreamTrack) -> None:
        listen = self._listen if track.kind == "audio" else self._watch
        self._tasks.append(asyncio.ensure_future(listen(track)))

    def _add_tracks(self) -> None:
        assert self._source.audio is not None
        sound = webrtc.MediaStreamTrackGenerator("audio")
        self._connection.add_track(sound)
        self._tasks.append(asyncio.ensure_future(self._speak(self._source.audio, sound)))
        if self._source.video is not None:
            pictures = webrtc.VideoTrackGenerator()
            self._video_sender = self._connection.add_track(pictures.track)
            self._tasks.append(asyncio.ensure_future(self._film(self._source.video, pictures)))

    async def offer(self) -> str:
        await self._source.start()
        self._add_tracks()
        await self._connection.set_local_description(await self._connection.create_offer())
        return await self._described()

    async def answer(self, offer: str) -> str:
        await self._source.start()
        await self._sink.start()
        await self._connection.set_remote_description(webrtc.RTCSessionDescriptionInit(type="offer", sdp=offer))
        self._add_tracks()
        await self._connection.set_local_description(await self._connection.create_answer())
        return await self._described()

    async def _described(self) -> str:
        async with asyncio.timeout(10):
            await self._gathered.wait()
        assert self._connection.local_description is not None
        return str(self._connection.local_description.sdp)

    async def take(self, answer: str) -> None:
        await self._sink.start()
        await self._connection.set_remote_description(webrtc.RTCSessionDescriptionInit(type="answer", sdp=answer))

    async def start(self) -> None:
        await self._connected.wait()
        if self._video_bitrate is not None and self._source.video is not None:
            parameters = self._video_sender.get_parameters()
            parameters.encodings[0].max_bitrate = self._video_bitrate
            parameters.degradation_preference = "maintain-resolution"
            await self._video_sender.set_parameters(parameters)

    async def _speak(self, source: AudioSource, track: Any) -> None:
        writer = track.writable.get_writer()
        while (block := await source.read()) is not None:
            for begin in range(0, len(block.samples), _CHUNK):
                chunk = webrtc.AudioDataInit(
                    format="s16",
                    sample_rate=SAMPLE_RATE,
                    number_of_frames=_CHUNK,
                    number_of_channels=1,
                    timestamp=round((block.captured_at + begin / SAMPLE_RATE) * 1e6),
                    data=block.samples[begin : begin + _CHUNK].tobytes(),
                )
                await writer.write(webrtc.AudioData(chunk))

    async def _film(self, source: VideoSource, track: Any) -> None:
        writer = track.writable.get_writer()
        while (picture := await source.read()) is not None:
            frame = picture.frame
            layout = webrtc.VideoFrameBufferInit(
                format="I420",
                coded_width=frame.width,
                coded_height=frame.height,
                timestamp=round(picture.captured_at * 1e6),
            )
            await writer.write(webrtc.VideoFrame(frame.to_ndarray().tobytes(), layout))

    async def _listen(self, track: webrtc.MediaStreamTrack) -> None:
        # libwebrtc's device plays two chunks in the time of one of our blocks: they are put together.
        pending: list[np.ndarray[Any, np.dtype[np.int16]]] = []
        first_at = 0.0
        processor = webrtc.MediaStreamTrackProcessor(webrtc.MediaStreamTrackProcessorInit(track, _QUEUED_CHUNKS))
        async for chunk in processor.readable:
            with chunk:
                at = chunk.timestamp / 1e6
                raw = bytearray(2 * chunk.number_of_frames * chunk.number_of_channels)
                chunk.copy_to(raw, webrtc.AudioDataCopyToOptions(plane_index=0, format="s16"))
                samples = np.frombuffer(raw, np.int16)[:: chunk.number_of_channels]
            first_at = first_at if pending else at
            pending.append(samples)
            if sum(map(len, pending)) >= BLOCK_SAMPLES:
                self._sink.play(np.concatenate(pending), first_at)
                pending = []

    async def _watch(self, track: webrtc.MediaStreamTrack) -> None:
        processor = webrtc.MediaStreamTrackProcessor(webrtc.MediaStreamTrackProcessorInit(track, 4))
        async for frame in processor.readable:
            with frame:
                at, width, height = time.monotonic(), frame.coded_width, frame.coded_height
                raw = bytearray(frame.allocation_size())
                await frame.copy_to(raw)
            self._sink.see(np.frombuffer(raw, np.uint8)[: width * height].reshape(height, width), at)

    async def figures(self) -> dict[str, Any]:
        found: dict[str, Any] = {"blocks": 0, "concealed": 0}
        for entry in (await self._connection.get_stats()).values():
            if entry.type == "inbound-rtp" and entry.kind == "audio":
                found["blocks"] = (entry.total_samples_received or 0) / BLOCK_SAMPLES
                found["concealed"] = (entry.concealed_samples or 0) / BLOCK_SAMPLES
                found["target_ms"] = 1000 * entry.jitter_buffer_target_delay / max(1, entry.jitter_buffer_emitted_count)
        return found

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._connection.close()
