"""`entrenous devices`: the sound cards that a call can use."""

from __future__ import annotations

import click

from entrenous import list_sound_devices

from .options import json_option
from .output import Output


@click.command("devices")
@json_option
@click.pass_obj
def devices_command(output: Output) -> None:
    """List microphones and speakers.

    `call` and `answer` take their names or numbers with --microphone and --speaker.

    \b
    Examples:
      entrenous devices
      entrenous devices --json | jq -r '.devices[].name'
    """
    devices = list_sound_devices()
    output.json({"devices": devices})
    if not devices:
        output.line("There is no sound device on this machine. Calls can send and record files instead:")
        output.line("  entrenous call bob@calls.example.org --send-audio hello.opus --record-audio answer.ogg")
        return
    output.table(
        ("Number", "Name", "Microphone", "Speaker"),
        [
            (
                str(device.number),
                device.name,
                _use(device.inputs, device.is_default_input),
                _use(device.outputs, device.is_default_output),
            )
            for device in devices
        ],
    )


def _use(channels: int, default: bool) -> str:
    return ("default" if default else "yes") if channels else ""
