"""Two ends of a call in one process: paths in memory or real legs over loopback, sources and sinks that remember."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import av
import numpy as np
from scipy.signal import correlate, resample_poly

from entrenous.crypto.sframe import FrameOpener, FrameSealer
from entrenous.media.codecs.base import BLOCK_SAMPLES, BLOCK_SECONDS, Samples
from entrenous.media.engine import IceServer, Leg, MediaEngine, MediaSettings
from entrenous.media.events import LegPath, PathKind, Secured
from entrenous.media.identities import LocalStreams, RemoteStreams
from entrenous.media.pictures import pixels
from entrenous.media.session import CallSession
from entrenous.media.streams import AudioSource, Picture, SoundBlock, StreamKind, VideoSource

SETTINGS = MediaSettings(loopback_only=True, close_timeout=0.2)

Event = TypeVar("Event")


class EventLog:
    """Keeps events and lets a test wait for one."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.listeners: list[Callable[[Any], None]] = []
        self._changed = asyncio.Event()

    def __call__(self, event: Any) -> None:
        self.events.append(event)
        self._changed.set()
        for listener in self.listeners:
            listener(event)

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    async def wait_for(self, kind: type[Event], timeout: float = 60.0) -> Event:
        """The first event of a kind, now or later."""
        async with asyncio.timeout(timeout):
            while not self.of(kind):
                self._changed.clear()
                await self._changed.wait()
        return self.of(kind)[0]


async def until(condition: Callable[[], bool], timeout: float = 60.0) -> None:
    """Wait for something that real-time media brings about and no event tells."""
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - a count in a running media path has no event to wait for
            await asyncio.sleep(0.005)


@dataclass
class LegEnd:
    leg: Leg
    log: EventLog
    streams: LocalStreams


def make_leg(
    *,
    controlling: bool,
    settings: MediaSettings = SETTINGS,
    relay_only: bool = False,
    ice_servers: tuple[IceServer, ...] = (),
    generation: int = 0,
    streams: LocalStreams | None = None,
    peer_informed: Callable[[], bool] = lambda: True,
) -> LegEnd:
    engine = MediaEngine(settings)
    log = EventLog()
    streams = streams or engine.new_streams()
    leg = engine.leg(
        generation,
        streams,
        controlling=controlling,
        relay_only=relay_only,
        ice_servers=ice_servers,
        on_event=log,
        peer_informed=peer_informed,
    )
    return LegEnd(leg, log, streams)


async def connect(caller: LegEnd, callee: LegEnd) -> None:
    """Exchange descriptions as a call does: the callee offers, the caller answers."""
    await callee.leg.accept_answer(await caller.leg.answer(await callee.leg.offer()))


async def connected_legs(settings: MediaSettings = SETTINGS) -> tuple[LegEnd, LegEnd]:
    caller, callee = make_leg(controlling=True, settings=settings), make_leg(controlling=False, settings=settings)
    await connect(caller, callee)
    await asyncio.gather(caller.log.wait_for(Secured), callee.log.wait_for(Secured))
    return caller, callee


class MemoryPath:
    """One end of a path within the process: what it sends is handed to the other end at once, or not.

    Args:
        local: what this end sends.
    """

    def __init__(self, local: LocalStreams) -> None:
        self.local = local
        self.peer: MemoryPath | None = None
        self.sent: list[bytes] = []
        self.drops: Callable[[bytes], bool] = lambda packet: False
        self.is_up = True
        self.overhead = 44
        self._handler: Callable[[bytes, float], None] | None = None

    @property
    def remote_streams(self) -> RemoteStreams:
        assert self.peer is not None
        return RemoteStreams(self.peer.local.by_kind)

    @property
    def path(self) -> LegPath | None:
        return LegPath(PathKind.DIRECT, "host", "host", "udp", self.overhead)

    def send_packet(self, packet: bytes) -> bool:
        assert self.peer is not None
        self.sent.append(packet)
        if self.is_up and not self.drops(packet):
            asyncio.get_running_loop().call_soon(self.peer.deliver, packet)
        return True

    def deliver(self, packet: bytes) -> None:
        if self._handler is not None:
            self._handler(packet, time.monotonic())

    def receive_into(self, handler: Callable[[bytes, float], None] | None) -> None:
        self._handler = handler


def memory_paths(first: LocalStreams, second: LocalStreams) -> tuple[MemoryPath, MemoryPath]:
    one, two = MemoryPath(first), MemoryPath(second)
    one.peer, two.peer = two, one
    return one, two


class SoundSource:
    """Yields given samples in real time, block by block."""

    def __init__(self, samples: Samples | None = None, video: VideoSource | None = None) -> None:
        self.samples = samples if samples is not None else np.zeros(0, np.int16)
        self.video = video
        self.audio: AudioSource | None = self if samples is not None else None
        self.started = self.closed = False
        self._begin = 0.0
        self._block = 0

    async def start(self) -> None:
        self.started = True
        self._begin = time.monotonic()

    async def read(self) -> SoundBlock | None:
        begin = self._block * BLOCK_SAMPLES
        samples = self.samples[begin : begin + BLOCK_SAMPLES]
        if len(samples) < BLOCK_SAMPLES:
            return None
        due = self._begin + self._block * BLOCK_SECONDS
        self._block += 1
        await asyncio.sleep(due - time.monotonic())  # it captures in real time
        return SoundBlock(samples, due)

    async def close(self) -> None:
        self.closed = True


@dataclass
class KeepingSink:
    """Remembers everything that it was given."""

    heard: list[tuple[Samples, float]] = field(default_factory=list)
    seen: list[tuple[av.VideoFrame, float]] = field(default_factory=list)
    screens: list[tuple[av.VideoFrame, float]] = field(default_factory=list)
    started: bool = False
    closed: bool = False

    async def start(self) -> None:
        self.started = True

    def play(self, block: Samples, at: float) -> None:
        self.heard.append((block, at))

    def show(self, frame: av.VideoFrame, at: float) -> None:
        self.seen.append((frame, at))

    def show_screen(self, frame: av.VideoFrame, at: float) -> None:
        self.screens.append((frame, at))

    async def close(self) -> None:
        self.closed = True

    @property
    def sound(self) -> Samples:
        return np.concatenate([block for block, _ in self.heard])


@dataclass
class CallEnd:
    session: CallSession
    path: Any
    source: Any
    sink: KeepingSink
    log: EventLog


@dataclass
class FrameKeys:
    """Base keys by sending end and kind."""

    keys: dict[tuple[int, StreamKind], bytes] = field(
        default_factory=lambda: {(end, kind): os.urandom(32) for end in (0, 1) for kind in StreamKind}
    )

    def sealers(self, end: int) -> dict[StreamKind, FrameSealer]:
        return {kind: FrameSealer(0, self.keys[end, kind]) for kind in StreamKind}

    def openers(self, end: int) -> dict[StreamKind, FrameOpener]:
        return {kind: FrameOpener(0, self.keys[1 - end, kind]) for kind in StreamKind}


def make_call(
    sources: tuple[Any, Any],
    *,
    paths: tuple[Any, Any] | None = None,
    streams: tuple[LocalStreams, LocalStreams] | None = None,
    keys: tuple[FrameKeys, FrameKeys] | None = None,
    sinks: tuple[Any, Any] | None = None,
    settings: MediaSettings = SETTINGS,
) -> tuple[CallEnd, CallEnd]:
    """Two sessions, attached to each other's path, gates shut."""
    engine = MediaEngine(settings)
    streams = streams or (engine.new_streams(), engine.new_streams())
    paths = paths or memory_paths(*streams)
    shared = FrameKeys()
    sinks = sinks or (KeepingSink(), KeepingSink())
    ends = []
    for end in (0, 1):
        sink, log = sinks[end], EventLog()
        own = keys[end] if keys is not None else shared
        session = CallSession(
            streams=streams[end],
            sealers=own.sealers(end),
            openers=own.openers(end),
            source=sources[end],
            sink=sink,
            settings=settings,
            on_event=log,
        )
        session.attach(paths[end])
        ends.append(CallEnd(session, paths[end], sources[end], sink, log))
    return ends[0], ends[1]


def silent(seconds: float = 60.0) -> SoundSource:
    """A source that is there and in which nothing is heard."""
    return SoundSource(np.zeros(int(48_000 * seconds), np.int16))


async def open_call(*ends: CallEnd) -> None:
    """Open the sessions, and then their gates."""
    await asyncio.gather(*(end.session.open() for end in ends))
    for end in ends:
        end.session.open_gate()


async def close_call(*ends: CallEnd) -> None:
    await asyncio.gather(*(end.session.close() for end in ends))


def speech(folder: Path, seconds: float) -> Samples:
    """Synthesised speech, 48 kHz mono."""
    path = folder / "speech.wav"
    text = "The quick brown fox jumps over the lazy dog, and seven wizards make toxic brew for the evil queen and jack."
    subprocess.run(["espeak-ng", "-s", "150", "-w", str(path), text], check=True, timeout=60)
    with wave.open(str(path)) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float64)
    resampled = resample_poly(samples, 48_000, rate)[: int(seconds * 48_000)]
    return np.clip(np.rint(resampled), -32768, 32767).astype(np.int16)


def aligned(reference: Samples, heard: Samples) -> tuple[Samples, Samples]:
    """Both cut to where they overlap, half a second at a time.

    The play-out may shorten or lengthen a pause by 20 ms when the machine is busy, which is not heard but would
    shift everything after it: each piece is laid over what was heard within 200 ms of where the last one lay.
    """
    whole = _best_shift(reference, heard)
    step, slack = 24_000, 9_600
    shift = whole
    pieces = []
    for begin in range(0, len(reference) - step, step):
        low = begin + shift - slack
        if low < 0 or low + step + 2 * slack > len(heard):
            continue
        piece = reference[begin : begin + step]
        window = heard[low : low + step + 2 * slack]
        if np.abs(piece.astype(np.float64)).mean() > 100:
            shift = low + _best_shift(piece, window) - begin
        pieces.append((piece, heard[begin + shift : begin + shift + step]))
    return np.concatenate([piece for piece, _ in pieces]), np.concatenate([piece for _, piece in pieces])


def _best_shift(piece: Samples, within: Samples) -> int:
    scores = correlate(within.astype(np.float64), piece.astype(np.float64), method="fft")
    return int(np.argmax(scores)) - (len(piece) - 1)


def luma(picture: av.VideoFrame) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return pixels(picture.planes[0])


def psnr(one: Picture | av.VideoFrame, other: av.VideoFrame) -> float:
    """Peak signal to noise of the luma planes, dB."""
    frame = one.frame if isinstance(one, Picture) else one
    error = np.mean((luma(frame).astype(np.float64) - luma(other)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))
