"""The interface: what it makes fits what it promises, and nothing is loaded or opened before it is needed."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import psutil

from entrenous.media.engine import Leg, MediaEngine, MediaSession, MediaSettings, PacketPath
from entrenous.media.streams import StreamKind
from lab.calls import SETTINGS, EventLog, FrameKeys, KeepingSink, SoundSource


def test_importing_the_interface_loads_no_transport() -> None:
    program = "import sys, entrenous.media.engine; print([n for n in ('aiortc', 'aioice') if n in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.strip() == "[]"


def test_settings_have_defaults() -> None:
    assert MediaEngine().settings == MediaSettings()


async def test_a_leg_opens_no_socket_before_it_is_asked_to_connect() -> None:
    engine = MediaEngine(SETTINGS)
    MediaEngine().new_streams()
    streams = engine.new_streams()
    await asyncio.sleep(0)
    leg: Leg = engine.leg(3, streams, controlling=True, relay_only=False, ice_servers=(), on_event=EventLog())
    before = psutil.Process().num_fds()
    leg = engine.leg(3, streams, controlling=True, relay_only=False, ice_servers=(), on_event=EventLog())
    path: PacketPath = leg
    assert psutil.Process().num_fds() <= before
    assert (leg.generation, path.path) == (3, None)
    await leg.close()


async def test_a_session_starts_nothing_before_it_is_opened() -> None:
    engine, keys = MediaEngine(SETTINGS), FrameKeys()
    source, sink = SoundSource(), KeepingSink()
    session: MediaSession = engine.session(
        streams=engine.new_streams(),
        sealers=keys.sealers(0),
        openers=keys.openers(0),
        source=source,
        sink=sink,
        on_event=EventLog(),
    )
    session.mute(StreamKind.AUDIO, True)
    assert not source.started
    assert not sink.started
    assert session.stats().seconds == 0.0
    await session.close()
