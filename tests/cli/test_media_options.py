"""What a call sends and records, as the options say."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from entrenous import (
    Camera,
    CameraSource,
    CombinedSource,
    DeviceError,
    MediaConfig,
    MediaFileError,
    NullSink,
    Processing,
    Recorder,
    ScreenSource,
    SoundCard,
    SoundDevice,
    SpeakerSink,
    Switch,
    TeeSink,
    TestCardSource,
)
from entrenous.cli import calling, media_options
from entrenous.cli.accounts import AccountChoice
from entrenous.cli.calling import pictures_of
from entrenous.cli.exits import ExitCode
from entrenous.cli.media_options import MediaChoice, device, numbered

HEADSET = SoundDevice(0, "Headset", inputs=1, outputs=2, is_default_input=True, is_default_output=True)


@pytest.fixture
def no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_options, "list_sound_devices", list)


@pytest.fixture
def headset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_options, "list_sound_devices", lambda: [HEADSET])


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "hello.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(bytes(2 * 4_800))
    return path


def test_two_pictures_at_once(sound: Path) -> None:
    with pytest.raises(click.UsageError, match="one picture"):
        MediaChoice(send_video=sound, test_card=True)


def test_one_file_recorded_twice() -> None:
    with pytest.raises(click.UsageError, match="leave out --record-audio"):
        MediaChoice(record_audio=Path("a.mkv"), record_video=Path("a.mkv"))


async def test_files_are_opened_before_anybody_is_called(sound: Path, tmp_path: Path) -> None:
    await MediaChoice(send_audio=sound, no_audio_device=True).check()
    with pytest.raises(MediaFileError, match="no such file"):
        await MediaChoice(send_audio=tmp_path / "missing.opus", no_audio_device=True).check()
    with pytest.raises(MediaFileError, match="holds no picture"):
        await MediaChoice(send_video=sound, no_audio_device=True).check()
    with pytest.raises(MediaFileError, match="there is none"):
        await MediaChoice(record_audio=tmp_path / "missing" / "a.ogg", no_audio_device=True).check()


async def test_a_film_is_announced_before_it_is_opened(sound: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.mkv"
    recorder, card = Recorder(film), TestCardSource(160, 120)
    await recorder.start()
    await card.start()
    picture = await card.video.read()
    assert picture is not None
    recorder.show(picture.frame, picture.captured_at)
    await card.close()
    await recorder.close()
    source = MediaChoice(send_video=film, send_audio=sound).ends().source
    assert source is not None
    assert source.video is not None


@pytest.mark.parametrize("choice", [{"record_audio": Path("a.docx")}, {"record_video": Path("a.ogg")}])
async def test_a_recording_must_be_able_to_hold_it(choice: dict[str, Path]) -> None:
    with pytest.raises(MediaFileError):
        await MediaChoice(**choice, no_audio_device=True).check()


@pytest.mark.usefixtures("no_devices")
async def test_without_a_sound_card_it_is_said_what_to_do(sound: Path, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="--send-audio FILE"):
        await MediaChoice().check()
    with pytest.raises(DeviceError, match="--record-audio FILE"):
        await MediaChoice(send_audio=sound).check()
    await MediaChoice(send_audio=sound, record_audio=tmp_path / "a.ogg").check()
    await MediaChoice(no_audio_device=True).check()


@pytest.mark.usefixtures("headset")
async def test_with_one_the_microphone_and_speaker_are_the_default(tmp_path: Path) -> None:
    choice = MediaChoice()
    await choice.check()
    assert choice.ends().source is not None
    assert isinstance(choice.ends().sink, SpeakerSink)
    assert isinstance(MediaChoice(record_audio=tmp_path / "a.ogg").ends().sink, TeeSink)


@pytest.mark.usefixtures("no_devices")
def test_recordings_need_no_speaker(tmp_path: Path) -> None:
    assert isinstance(MediaChoice(record_audio=tmp_path / "a.ogg").ends().sink, Recorder)
    assert isinstance(MediaChoice(no_audio_device=True).ends().sink, NullSink)
    assert MediaChoice(no_audio_device=True).ends().source is None


def test_nor_a_sound_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken() -> list[SoundDevice]:
        raise DeviceError("PortAudio is not installed.")

    monkeypatch.setattr(media_options, "list_sound_devices", broken)
    assert isinstance(MediaChoice(record_audio=tmp_path / "a.ogg").ends().sink, Recorder)


async def test_sound_and_picture_from_different_places(sound: Path) -> None:
    source = MediaChoice(send_audio=sound, test_card=True, no_audio_device=True).ends().source
    assert source is not None
    await source.start()
    assert source.audio is not None
    assert source.video is not None
    await source.close()


def test_no_recording_overwrites_another() -> None:
    assert numbered(Path("a/answer.ogg"), 1) == Path("a/answer.ogg")
    assert numbered(Path("a/answer.ogg"), 2) == Path("a/answer-2.ogg")


def test_a_device_by_number_or_name() -> None:
    context = click.Context(click.Command("call"))
    parameter = click.Option(["--speaker"])
    assert device(context, parameter, "3") == 3
    assert device(context, parameter, "Headset") == "Headset"
    assert device(context, parameter, None) is None


@pytest.mark.usefixtures("headset")
def test_microphone_and_speaker_are_two_ends_of_one_card() -> None:
    ends = MediaChoice().ends()
    assert isinstance(ends.source, CombinedSource)
    assert isinstance(ends.sink, SpeakerSink)
    assert pictures_of(MediaChoice()).share is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Processing()),
        ({"headset": True}, Processing(headset=True)),
        ({"echo_cancellation": False}, Processing(echo=Switch.OFF)),
        ({"echo_cancellation": True}, Processing(echo=Switch.ON)),
        ({"noise_suppression": False, "gain": True}, Processing(noise=Switch.OFF, gain=Switch.ON)),
        ({"defaults": MediaConfig(headset=True, gain=True)}, Processing(headset=True, gain=Switch.ON)),
        ({"defaults": MediaConfig(gain=True, noise_suppression=False), "gain": False}, Processing(noise=Switch.OFF)),
        ({"defaults": MediaConfig(headset=True), "headset": False}, Processing()),
        ({"defaults": MediaConfig(headset=True), "echo_cancellation": True}, Processing(echo=Switch.ON)),
    ],
)
def test_each_part_of_the_processing_has_its_switch(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], expected: Processing
) -> None:
    asked: list[Processing] = []

    def card(*, processing: Processing, **_: object) -> SoundCard:
        asked.append(processing)
        return SoundCard(processing=Processing(echo=Switch.OFF, noise=Switch.OFF))

    monkeypatch.setattr(media_options, "SoundCard", card)
    MediaChoice(**options, record_audio=Path("a.ogg")).ends()
    assert asked == [expected]


@pytest.mark.usefixtures("headset")
async def test_a_camera_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_options, "list_cameras", list)
    with pytest.raises(DeviceError, match="--test-card"):
        await MediaChoice(camera=True).check()
    assert MediaChoice().picture() is None
    monkeypatch.setattr(media_options, "list_cameras", lambda: [Camera("/dev/video0", "Front")])
    await MediaChoice(camera_device="front").check()
    assert isinstance(MediaChoice().picture(), CameraSource)
    assert not MediaChoice().starts_with_picture


def test_the_screen_is_shared_when_asked() -> None:
    assert isinstance(pictures_of(MediaChoice(share_screen=True)).share, ScreenSource)


CONFIGURED = MediaConfig(microphone="desk", speaker=3, camera_device="Front")


def test_devices_are_those_of_the_configuration_unless_the_command_line_names_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[object, object]] = []

    def card(*, microphone: object, speaker: object, **_: object) -> SoundCard:
        asked.append((microphone, speaker))
        return SoundCard(processing=Processing(echo=Switch.OFF, noise=Switch.OFF))

    monkeypatch.setattr(media_options, "SoundCard", card)
    MediaChoice(defaults=CONFIGURED).ends()
    MediaChoice(defaults=CONFIGURED, microphone=0).ends()
    assert asked == [("desk", 3), (0, 3)]


def test_a_configured_camera_is_the_one_to_use_and_is_not_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    cameras: list[str | None] = []
    monkeypatch.setattr(media_options, "CameraSource", cameras.append)
    monkeypatch.setattr(media_options, "list_cameras", lambda: [Camera("/dev/video0", "Front")])
    resting = MediaChoice(defaults=CONFIGURED, no_audio_device=True)
    assert not resting.starts_with_picture
    assert resting.ends().source is None
    for choice in (resting, MediaChoice(defaults=CONFIGURED, camera=True)):
        choice.picture()
    MediaChoice(defaults=CONFIGURED, camera_device="Back").picture()
    assert cameras == ["Front", "Front", "Back"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), (None, None, None, None)),
        (("--echo-cancellation", "--no-noise-suppression", "--gain", "--no-headset"), (True, False, True, False)),
    ],
)
def test_a_switch_that_is_not_named_is_left_to_the_configuration(
    entrenous: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    expected: tuple[bool | None, ...],
) -> None:
    choices: list[MediaChoice] = []
    account = SimpleNamespace(config=SimpleNamespace(media=CONFIGURED))
    monkeypatch.setattr(AccountChoice, "open", lambda _: account)
    monkeypatch.setattr(calling, "Reception", lambda _, media, *__, **___: choices.append(media) or _Nobody())
    entrenous("answer", "--auto", *arguments)
    (choice,) = choices
    assert choice.defaults is CONFIGURED
    assert (choice.echo_cancellation, choice.noise_suppression, choice.gain, choice.headset) == expected


class _Nobody:
    async def work(self, _: object) -> ExitCode:
        return ExitCode.OK
