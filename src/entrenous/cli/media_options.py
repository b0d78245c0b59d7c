"""What a call sends and where it puts what it receives: the options of `call` and `answer`, turned into media."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from entrenous import (
    CombinedSource,
    DeviceError,
    FileSource,
    MediaFileError,
    MicrophoneSource,
    NullSink,
    Recorder,
    Sink,
    Source,
    SpeakerSink,
    TeeSink,
    TestCardSource,
    list_sound_devices,
)

Command = TypeVar("Command", bound=Callable[..., Any])


def device(_: click.Context, __: click.Parameter, value: str | None) -> str | int | None:
    """A sound device by its number or a part of its name; None: the default one."""
    return int(value) if value is not None and value.isdecimal() else value


_FILE = click.Path(dir_okay=False, path_type=Path)
_OPTIONS = (
    click.option("--send-audio", type=_FILE, metavar="FILE", help="Send this sound instead of the microphone's."),
    click.option(
        "--send-video",
        type=_FILE,
        metavar="FILE",
        help="Send this film's picture; its sound too with --send-audio FILE.",
    ),
    click.option("--test-card", is_flag=True, help="Send a moving test card as the picture."),
    click.option("--loop", is_flag=True, help="Begin files again at their end."),
    click.option("--record-audio", type=_FILE, metavar="FILE", help="Write what you hear (.ogg, .opus, .wav)."),
    click.option("--record-video", type=_FILE, metavar="FILE", help="Write what you see and hear (.mkv, .mp4)."),
    click.option("--microphone", metavar="DEVICE", callback=device, help="A name or number of `entrenous devices`."),
    click.option("--speaker", metavar="DEVICE", callback=device, help="A name or number of `entrenous devices`."),
    click.option("--no-audio-device", is_flag=True, help="Use neither microphone nor speaker; send silence or a file."),
    click.option(
        "--for",
        "seconds",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Hang up this long after the call was answered.",
    ),
)


def media_options(command: Command) -> Command:
    """Add what `call` and `answer` have in common; collect it with `MediaChoice.of`."""
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), command)


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaChoice:
    """What the options say; every call gets a source and a sink of its own.

    Args:
        send_audio: a file; None: the microphone.
        send_video: a file; None: no picture, or the test card.
        test_card: send a moving test card as the picture.
        loop: files begin again at their end.
        record_audio, record_video: files to write; None: nothing is recorded.
        microphone, speaker: names or numbers of devices; None: the default ones.
        no_audio_device: leave microphone and speaker alone.
    """

    send_audio: Path | None = None
    send_video: Path | None = None
    test_card: bool = False
    loop: bool = False
    record_audio: Path | None = None
    record_video: Path | None = None
    microphone: str | int | None = None
    speaker: str | int | None = None
    no_audio_device: bool = False

    def __post_init__(self) -> None:
        if self.test_card and self.send_video is not None:
            raise click.UsageError("Choose one picture: --send-video or --test-card.")
        if self.record_audio is not None and self.record_audio == self.record_video:
            raise click.UsageError("--record-video FILE holds the sound too: leave out --record-audio.")

    async def check(self) -> None:
        """Find out before the call what would go wrong on answering.

        Raises:
            MediaFileError: a file cannot be read, or the folder of a recording cannot be written to.
            DeviceError: a microphone or speaker is needed and there is none.
        """
        for path in (self.send_audio, self.send_video):
            if path is not None:
                await asyncio.to_thread(_check_file, path, loop=self.loop, picture=path is self.send_video)
        for recorded in (self.record_audio, self.record_video):
            if recorded is not None:
                _check_recording(recorded, picture=recorded is self.record_video)
        if self._needs_microphone and not _devices().microphone:
            raise DeviceError(
                "There is no microphone. Send a file with --send-audio FILE, or silence with --no-audio-device."
            )
        if not self._records and not self.no_audio_device and not _devices().speaker:
            raise DeviceError(
                "There is no speaker. Record what you hear with --record-audio FILE, or use --no-audio-device."
            )

    def source(self) -> Source | None:
        """What to send, None: silence and no picture."""
        sound: Source | None = None
        if self.send_audio is not None:
            sound = FileSource(self.send_audio, loop=self.loop)
        elif self._needs_microphone:
            sound = MicrophoneSource(self.microphone)
        picture: Source | None = None
        if self.send_video is not None:
            picture = FileSource(self.send_video, loop=self.loop)
        elif self.test_card:
            picture = TestCardSource()
        if sound is None and picture is None:
            return None
        return CombinedSource(audio=sound, video=picture)

    def sink(self, number: int = 1) -> Sink:
        """Where to put what is received.

        Args:
            number: of the call in this process; from the second on, it is added to the names of recordings.
        """
        sinks: list[Sink] = [
            Recorder(numbered(path, number)) for path in (self.record_audio, self.record_video) if path is not None
        ]
        if not self.no_audio_device and (not sinks or _has_speaker()):
            sinks.append(SpeakerSink(self.speaker))
        match sinks:
            case []:
                return NullSink()
            case [only]:
                return only
            case _:
                return TeeSink(*sinks)

    @property
    def _needs_microphone(self) -> bool:
        return self.send_audio is None and not self.no_audio_device

    @property
    def _records(self) -> bool:
        return self.record_audio is not None or self.record_video is not None


def numbered(path: Path, number: int) -> Path:
    """`answer.ogg` for the first call, `answer-2.ogg` for the second, so that none overwrites another."""
    return path if number == 1 else path.with_stem(f"{path.stem}-{number}")


@dataclass(frozen=True, slots=True)
class _Found:
    microphone: bool
    speaker: bool


def _devices() -> _Found:
    devices = list_sound_devices()
    return _Found(any(device.inputs for device in devices), any(device.outputs for device in devices))


def _check_recording(path: Path, *, picture: bool) -> None:
    """Find out whether a file can be recorded to; raises MediaFileError."""
    if Recorder(path).video_path is None and picture:
        raise MediaFileError(f"{path} cannot hold pictures: record them to .mkv or .mp4.")
    folder = path.absolute().parent
    if not os.access(folder, os.W_OK | os.X_OK):
        reason = "it may not be written to" if folder.is_dir() else "there is none"
        raise MediaFileError(f"{path} cannot be written in the folder {folder}: {reason}.")


def _has_speaker() -> bool:
    """Whether sound can be heard beside being recorded; without a sound system it cannot, and that is fine."""
    try:
        return _devices().speaker
    except DeviceError:
        return False


def _check_file(path: Path, *, loop: bool, picture: bool) -> None:
    """Find out whether a file can be sent; raises MediaFileError, also when it lacks what is to be taken from it."""
    source = FileSource(path, loop=loop)
    source.check()
    if (source.video if picture else source.audio) is None:
        raise MediaFileError(f"{path} holds no {'picture' if picture else 'sound'}.")
