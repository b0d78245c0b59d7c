"""Everything that claims to be a source or a sink has what the interface asks for; mypy sees that it fits."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from entrenous.media import sources
from entrenous.media.devices import MicrophoneStream
from entrenous.media.sinks import NullSink, Recorder, SpeakerSink, TeeSink
from entrenous.media.sources import (
    CameraSource,
    CombinedSource,
    FileSource,
    MicrophoneSource,
    ScreenSource,
    TestCardSource,
    ToneSource,
)
from entrenous.media.streams import AudioSource, Sink, Source, StreamKind, VideoSource

EVERY_SOURCE: list[Source] = [
    CameraSource(),
    CombinedSource(audio=ToneSource(), video=TestCardSource()),
    FileSource("x.opus"),
    MicrophoneSource(),
    ScreenSource(),
    TestCardSource(beep=True),
    ToneSource(),
]
EVERY_SINK: list[Sink] = [NullSink(), TeeSink(NullSink()), Recorder("x.ogg"), SpeakerSink()]
AUDIO_SOURCES: list[type[AudioSource]] = [MicrophoneStream, ToneSource]


def members(protocol: type) -> dict[str, object]:
    return {name: member for name, member in vars(protocol).items() if not name.startswith("_")}


@pytest.mark.parametrize("source", EVERY_SOURCE, ids=lambda source: type(source).__name__)
def test_every_source_is_one(source: Source) -> None:
    for name, member in members(Source).items():
        assert inspect.iscoroutinefunction(member) == inspect.iscoroutinefunction(getattr(type(source), name)), name
    for stream in (source.audio, source.video):
        assert stream is None or inspect.iscoroutinefunction(stream.read)


@pytest.mark.parametrize("sink", EVERY_SINK, ids=lambda sink: type(sink).__name__)
def test_every_sink_is_one(sink: Sink) -> None:
    for name, member in members(Sink).items():
        assert inspect.signature(getattr(type(sink), name)) == inspect.signature(member), name  # type: ignore[arg-type]  # a method


@pytest.mark.parametrize("stream", AUDIO_SOURCES, ids=lambda stream: stream.__name__)
def test_every_stream_is_read_the_same_way(stream: type[AudioSource]) -> None:
    assert inspect.iscoroutinefunction(stream.read)
    assert list(members(VideoSource)) == list(members(AudioSource)) == ["read"]


@pytest.mark.parametrize("thing", [*EVERY_SOURCE, *EVERY_SINK], ids=lambda thing: type(thing).__name__)
async def test_closing_what_never_started_is_harmless(thing: Source | Sink) -> None:
    await thing.close()
    await thing.close()


def test_no_exported_source_is_forgotten_here() -> None:
    exported = {name for name in sources.__all__ if name.endswith("Source")}
    assert exported == {type(source).__name__ for source in EVERY_SOURCE}


def test_nothing_is_created_before_the_start(tmp_path: Path) -> None:
    Recorder(tmp_path / "x.mkv")
    FileSource(tmp_path / "missing.wav")
    assert list(tmp_path.iterdir()) == []


def test_the_streams_have_the_names_that_keys_are_derived_from() -> None:
    assert [kind.value for kind in StreamKind] == ["audio", "video", "screen"]
