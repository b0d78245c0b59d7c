"""The baseline: what plain aiortc needs from making an offer to the first decoded block of sound.

Two `RTCPeerConnection`s of one process, signalled by handing the descriptions over directly: no server, no
handshake, no frame layer. The callee's answer stands for accepting; so its figure is the whole way that a
call takes which does not prepare anything while it rings.
"""

from __future__ import annotations

import asyncio
import fractions
import time

import av
import numpy as np
from aiortc import AudioStreamTrack, RTCConfiguration, RTCPeerConnection
from aiortc.mediastreams import MediaStreamTrack

TIMEOUT = 30.0
_RATE = 48_000
_SAMPLES = 960


class ToneTrack(AudioStreamTrack):
    """A tone in 20 ms frames, paced in real time.

    Args:
        hz: its frequency.
    """

    def __init__(self, hz: float = 440.0) -> None:
        super().__init__()
        self._hz = hz
        self._count = 0
        self._started = time.monotonic()

    async def recv(self) -> av.AudioFrame:
        await asyncio.sleep(max(0.0, self._started + self._count * _SAMPLES / _RATE - time.monotonic()))
        t = (np.arange(_SAMPLES) + self._count * _SAMPLES) / _RATE
        samples = (np.sin(2 * np.pi * self._hz * t) * 10_000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = _RATE
        frame.pts = self._count * _SAMPLES
        frame.time_base = fractions.Fraction(1, _RATE)
        self._count += 1
        return frame


async def offer_to_first_audio() -> float:
    """Seconds from `createOffer` to the first decoded block with sound in it."""
    # An empty list, since None would mean a public STUN server.
    caller = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    callee = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    heard: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def listen(track: MediaStreamTrack) -> None:
        while not heard.done():
            frame = await track.recv()
            assert isinstance(frame, av.AudioFrame)
            if np.abs(frame.to_ndarray()).max() > 1000:
                heard.set_result(time.monotonic())

    tasks: list[asyncio.Task[None]] = []
    callee.on("track", lambda track: tasks.append(asyncio.ensure_future(listen(track))))
    try:
        started = time.monotonic()
        caller.addTrack(ToneTrack())
        await caller.setLocalDescription(await caller.createOffer())
        await callee.setRemoteDescription(caller.localDescription)
        await callee.setLocalDescription(await callee.createAnswer())
        await caller.setRemoteDescription(callee.localDescription)
        return await asyncio.wait_for(heard, TIMEOUT) - started
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await caller.close()
        await callee.close()
