"""What a call sends and where it puts what it receives: the options of `call` and `answer`, turned into media."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from entrenous import (
    CameraSource,
    CombinedSource,
    DeviceError,
    FileSource,
    MediaConfig,
    MediaFileError,
    NullSink,
    Processing,
    Recorder,
    ScreenSource,
    Sink,
    SoundCard,
    Source,
    Switch,
    TeeSink,
    TestCardSource,
    list_cameras,
    list_sound_devices,
)

from .stats_file import StatsFile

Command = TypeVar("Command", bound=Callable[..., Any])


def device(_: click.Context, __: click.Parameter, value: str | None) -> str | int | None:
    """A sound device by its number or a part of its name; None: the default one."""
    return int(value) if value is not None and value.isdecimal() else value


def _switch(name: str, text: str) -> Callable[[Command], Command]:
    """An option that may also be left to the configuration."""
    return click.option(f"--{name}/--no-{name}", default=None, help=text)


_FILE = click.Path(dir_okay=False, path_type=Path)
_OPTIONS = (
    click.option("--send-audio", type=_FILE, metavar="FILE", help="Send this sound instead of the microphone's."),
    click.option(
        "--send-video",
        type=_FILE,
        metavar="FILE",
        help="Send this film's picture; its sound too with --send-audio FILE.",
    ),
    click.option("--camera", is_flag=True, help="Send the camera's picture."),
    click.option("--camera-device", metavar="CAMERA", help="Send this camera's, by name: see `entrenous devices`."),
    click.option("--test-card", is_flag=True, help="Send a moving test card as the picture."),
    click.option("--share-screen", is_flag=True, help="Share this screen from the beginning."),
    click.option("--loop", is_flag=True, help="Begin files again at their end."),
    click.option("--record-audio", type=_FILE, metavar="FILE", help="Write what you hear (.ogg, .opus, .wav)."),
    click.option("--record-video", type=_FILE, metavar="FILE", help="Write what you see and hear (.mkv, .mp4)."),
    click.option("--microphone", metavar="DEVICE", callback=device, help="A name or number of `entrenous devices`."),
    click.option("--speaker", metavar="DEVICE", callback=device, help="A name or number of `entrenous devices`."),
    click.option("--no-audio-device", is_flag=True, help="Use neither microphone nor speaker; send silence or a file."),
    _switch("headset", "Whether the microphone cannot hear the speaker: then there is no echo to cancel."),
    _switch("echo-cancellation", "Whether to take the speaker's echo out. By default where that is installed."),
    _switch("noise-suppression", "Whether to make the noise of the room softer. By default where that is installed."),
    _switch("gain", "Whether to bring soft voices to one level; lifts the room's noise as well."),
    click.option("--stats", type=_FILE, metavar="FILE", help="Write figures every second, for `entrenous stats`."),
    click.option(
        "--for",
        "seconds",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Hang up this long after the call was answered.",
    ),
)


_CONFIGURED = (
    "microphone",
    "speaker",
    "camera_device",
    "echo_cancellation",
    "noise_suppression",
    "gain",
    "headset",
)
"""What `MediaConfig` has a default for."""


def media_options(command: Command) -> Command:
    """Add what `call` and `answer` have in common: the fields of `MediaChoice`, and `--for`."""
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), command)


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaChoice:
    """What the options say; every call gets a source and a sink of its own.

    Args:
        send_audio: a file; None: the microphone.
        send_video: a file; None: no picture, or the test card.
        camera: send the camera's picture.
        camera_device: send the picture of the camera of this name or part of one.
        test_card: send a moving test card as the picture.
        share_screen: share the screen from the beginning.
        loop: files begin again at their end.
        record_audio, record_video: files to write; None: nothing is recorded.
        microphone, speaker: names or numbers of devices; None: those of `defaults`.
        no_audio_device: leave microphone and speaker alone.
        headset, echo_cancellation, noise_suppression, gain: what is done to the microphone's sound; None: what
            `defaults` says.
        stats: a file for figures; None: none are written.
        defaults: what the account's configuration says of devices. A camera that it names is the one to use, and is
            not switched on by that.
    """

    send_audio: Path | None = None
    send_video: Path | None = None
    camera: bool = False
    camera_device: str | None = None
    test_card: bool = False
    share_screen: bool = False
    loop: bool = False
    record_audio: Path | None = None
    record_video: Path | None = None
    microphone: str | int | None = None
    speaker: str | int | None = None
    no_audio_device: bool = False
    headset: bool | None = None
    echo_cancellation: bool | None = None
    noise_suppression: bool | None = None
    gain: bool | None = None
    stats: Path | None = None
    defaults: MediaConfig = field(default_factory=MediaConfig)

    def __post_init__(self) -> None:
        if (self.send_video is not None) + self.test_card + self.uses_camera > 1:
            raise click.UsageError("Choose one picture: --camera, --send-video or --test-card.")
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
        if self.uses_camera and not await asyncio.to_thread(list_cameras):
            raise DeviceError("There is no camera. Send a film with --send-video FILE, or --test-card.")
        if not self._records and not self.no_audio_device and not _devices().speaker:
            raise DeviceError(
                "There is no speaker. Record what you hear with --record-audio FILE, or use --no-audio-device."
            )

    def ends(self, number: int = 1) -> Ends:
        """What one call sends and where it puts what it receives.

        Microphone and speaker belong together: what the one plays is taken out of what the other hears.

        Args:
            number: of the call in this process; from the second on, it is added to the names of recordings.

        Raises:
            DeviceError: what is to be done to the microphone's sound is not installed.
        """
        card = None
        if not self.no_audio_device:
            devices = self._devices
            card = SoundCard(microphone=devices.microphone, speaker=devices.speaker, processing=processing_of(devices))
        return Ends(self._source(card), self._sink(card, number))

    def picture(self) -> Source | None:
        """The camera or what was chosen in its place, for switching it on in a call; None where there is none."""
        if self.send_video is not None:
            return FileSource(self.send_video, loop=self.loop)
        if self.test_card:
            return TestCardSource()
        if not self.uses_camera and not list_cameras():
            return None
        return CameraSource(self._devices.camera_device)

    def screen(self) -> Source:
        """This screen."""
        return ScreenSource()

    def stats_file(self, number: int = 1) -> StatsFile | None:
        """Where the figures of a call go; `number` as in `ends`. None: nowhere. Raises ConfigError."""
        return StatsFile(numbered(self.stats, number)) if self.stats is not None else None

    @property
    def uses_camera(self) -> bool:
        """Whether the camera was asked for."""
        return self.camera or self.camera_device is not None

    @property
    def starts_with_picture(self) -> bool:
        """Whether a picture is sent from the beginning."""
        return self.send_video is not None or self.test_card or self.uses_camera

    def _source(self, card: SoundCard | None) -> Source | None:
        sound: Source | None = None
        if self.send_audio is not None:
            sound = FileSource(self.send_audio, loop=self.loop)
        elif card is not None:
            sound = card.source
        picture = self.picture() if self.starts_with_picture else None
        if sound is None and picture is None:
            return None
        return CombinedSource(audio=sound, video=picture)

    def _sink(self, card: SoundCard | None, number: int) -> Sink:
        sinks: list[Sink] = [
            Recorder(numbered(path, number)) for path in (self.record_audio, self.record_video) if path is not None
        ]
        if card is not None and (not sinks or _has_speaker()):
            sinks.append(card.sink)
        match sinks:
            case []:
                return NullSink()
            case [only]:
                return only
            case _:
                return TeeSink(*sinks)

    @property
    def _devices(self) -> MediaConfig:
        """The configuration with what the command line says in its place."""
        said = {name: value for name in _CONFIGURED if (value := getattr(self, name)) is not None}
        if self.echo_cancellation:
            said.setdefault("headset", False)  # who asks for it now is not using the headset of the configuration
        return replace(self.defaults, **said)

    @property
    def _needs_microphone(self) -> bool:
        return self.send_audio is None and not self.no_audio_device

    @property
    def _records(self) -> bool:
        return self.record_audio is not None or self.record_video is not None


@dataclass(frozen=True, slots=True)
class Ends:
    """The two ends of one call's media.

    Args:
        source: what to send; None: silence and no picture.
        sink: where to put what is received.
    """

    source: Source | None
    sink: Sink


def processing_of(config: MediaConfig) -> Processing:
    """What is done to the microphone's sound."""
    switches = {None: Switch.AUTO, True: Switch.ON, False: Switch.OFF}
    return Processing(
        echo=switches[config.echo_cancellation],
        noise=switches[config.noise_suppression],
        gain=Switch.ON if config.gain else Switch.OFF,
        headset=bool(config.headset),
    )


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
