"""`entrenous devices`: the sound cards and cameras that a call can use, and whether the sound works."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, assert_never

import click
from rich.live import Live
from rich.text import Text

from entrenous import (
    Camera,
    CheckPart,
    MediaConfig,
    SoundCheck,
    SoundDevice,
    SoundFinding,
    check_sound,
    list_cameras,
    list_sound_devices,
)

from .exits import ExitCode
from .interrupt import run
from .media_options import device
from .options import NODE_FILE, json_option, load_media, profile_option
from .output import Output

_METER_WIDTH: Final = 40
_METER_FLOOR: Final = -60.0
"""dB below full scale at which the meter is empty."""


@click.command("devices")
@click.option("--test", "test", is_flag=True, help="Play a melody, listen to you, and say whether that is good.")
@click.option("--microphone", metavar="DEVICE", callback=device, help="With --test: a name or number of the list.")
@click.option("--speaker", metavar="DEVICE", callback=device, help="With --test: a name or number of the list.")
@profile_option
@json_option
@click.pass_obj
def devices_command(
    output: Output, test: bool, microphone: str | int | None, speaker: str | int | None, profile: Path
) -> None:
    """List microphones, speakers and cameras, or test the sound.

    `call` and `answer` take their names or numbers with --microphone and --speaker, and the name of a camera or part of
    it with --camera-device. What is chosen in [media] of node.toml is what --test tests unless you name another one.

    \b
    Examples:
      entrenous devices
      entrenous devices --test
      entrenous devices --test --microphone headset --speaker 3
      entrenous devices --json | jq -r '.devices[].name'

    With --test the exit code is 15 when calls will not work until something is done, 11 when nothing opens.
    """
    chosen = load_media(profile)
    if test:
        tested = (
            chosen.microphone if microphone is None else microphone,
            chosen.speaker if speaker is None else speaker,
        )
        raise SystemExit(run(lambda _: _test(output, *tested)))
    if microphone is not None or speaker is not None:
        raise click.UsageError("--microphone and --speaker choose what --test tests.")
    _list(output, chosen, profile / NODE_FILE)


def _list(output: Output, chosen: MediaConfig, file: Path) -> None:
    devices, cameras = list_sound_devices(), list_cameras()
    by_name = {"microphone": chosen.microphone, "speaker": chosen.speaker, "camera_device": chosen.camera_device}
    output.json({"devices": devices, "cameras": cameras, "chosen": by_name})
    _show_sound(output, devices)
    output.line("")
    _show_cameras(output, cameras)
    named = [f"{name} = {device!r}" for name, device in by_name.items() if device is not None]
    if named:
        output.line("")
        output.line(f"Chosen in {file}: {', '.join(named)}")


def _show_sound(output: Output, devices: Sequence[SoundDevice]) -> None:
    if not devices:
        output.line("There is no sound device on this machine. Calls can send and record files instead:")
        output.line("  entrenous call bob@calls.example.org --send-audio hello.opus --record-audio answer.ogg")
        return
    output.table(
        ("Number", "Name", "Microphone", "Speaker", "Rate"),
        [
            (
                str(device.number),
                device.name,
                _use(device.inputs, device.is_default_input),
                _use(device.outputs, device.is_default_output),
                f"{device.rate / 1000:g} kHz",
            )
            for device in devices
        ],
    )


def _show_cameras(output: Output, cameras: Sequence[Camera]) -> None:
    if not cameras:
        output.line("There is no camera on this machine. Calls can send a film or a test card instead:")
        output.line("  entrenous call bob@calls.example.org --send-video film.mp4")
        return
    output.table(("Camera", "Opened as"), [(camera.description or camera.name, camera.name) for camera in cameras])


def _use(channels: int, default: bool) -> str:
    return ("default" if default else "yes") if channels else ""


async def _test(output: Output, microphone: str | int | None, speaker: str | int | None) -> ExitCode:
    with _Meter(output) as meter:
        check = await check_sound(microphone, speaker, meter.show)
    output.json({"check": check, "advice": advice(check), "fault": check.finding.is_fault})
    output.line(f"Microphone: {check.microphone or 'gone'}   Speaker: {check.speaker or 'gone'}")
    output.line(_figures(check))
    output.line(advice(check))
    return ExitCode.FAULT_FOUND if check.finding.is_fault else ExitCode.OK


def _figures(check: SoundCheck) -> str:
    """What was measured, on one line."""
    figures = [f"room {_level(check.noise_dbfs)}", f"voice {_level(check.voice_dbfs)}"]
    if check.echo_dbfs is not None:
        figures.append(f"echo {_level(check.echo_dbfs)}")
    if check.round_trip_ms is not None:
        figures.append(f"speaker to microphone {check.round_trip_ms:.0f} ms")
    if check.underruns or check.overruns:
        figures.append(f"gaps {check.underruns} played, {check.overruns} recorded")
    return " · ".join(figures)


def _level(dbfs: float | None) -> str:
    return "silent" if dbfs is None else f"{dbfs:.0f} dB"


def advice(check: SoundCheck) -> str:
    """One sentence about what is wrong, and what to do."""
    match check.finding:
        case SoundFinding.DEAD_MICROPHONE:
            return (
                "The microphone gives nothing but silence: switch it on or unmute it in the system's sound settings, "
                "or choose another one with --microphone."
            )
        case SoundFinding.NOTHING_HEARD:
            return (
                "The microphone heard neither the melody nor your voice: choose another one with --microphone "
                "(`entrenous devices` lists them), and if you heard no melody either, another --speaker."
            )
        case SoundFinding.CLIPPING:
            return (
                f"Your voice is cut off ({100 * check.clipped:.1f} % of it): "
                "turn the microphone down in the system's sound settings, or move away from it."
            )
        case SoundFinding.TOO_SOFT:
            return (
                "Your voice is hardly heard: turn the microphone up in the system's sound settings, come closer, "
                "or call with --gain."
            )
        case SoundFinding.LOUD_ECHO:
            return (
                "It works, but the microphone hears the speaker loudly: leave echo cancellation on, "
                "turn the speaker down, or use a headset."
            )
        case SoundFinding.NOISY:
            return "It works, but it is noisy: leave noise suppression on, or come closer to the microphone."
        case SoundFinding.SPEAKER_UNHEARD:
            return (
                "Your voice is fine. The microphone did not hear the melody, which is right with headphones (call with "
                "--headset); if you did not hear it either, choose another --speaker."
            )
        case SoundFinding.NOBODY_SPOKE:
            return "It works: the microphone heard the melody. Run it again and speak to see how loud your voice is."
        case SoundFinding.FINE:
            return "It works: the melody and your voice were heard well."
        case _ as never:
            assert_never(never)


_ASKS: Final = {
    CheckPart.ROOM: "Be quiet for a moment …",
    CheckPart.MELODY: "You should hear a melody …",
    CheckPart.VOICE: "Speak, please …",
}


class _Meter:
    """The level of the microphone as a bar, drawn anew as it changes; to a file only what is asked of the person."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._live = Live(console=output.out, refresh_per_second=12, transient=True) if output.interactive else None
        self._part: CheckPart | None = None

    def __enter__(self) -> _Meter:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, part: CheckPart, dbfs: float | None) -> None:
        """Draw what is being done and how loud it is."""
        if part is not self._part:
            self._part = part
            self._output.progress(_ASKS[part])
        if self._live is not None:
            self._live.update(Text(bar(dbfs), no_wrap=True))


def bar(dbfs: float | None) -> str:
    """A level as a bar: empty at -60 dB, full at 0 dB."""
    share = 0.0 if dbfs is None else min(1.0, max(0.0, 1 - dbfs / _METER_FLOOR))
    filled = round(share * _METER_WIDTH)
    return f"[{'█' * filled}{' ' * (_METER_WIDTH - filled)}] {_level(dbfs)}"
