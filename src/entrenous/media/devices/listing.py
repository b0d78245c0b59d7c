"""Which microphones and speakers there are, and which of them is meant. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never


class Direction(StrEnum):
    """The two kinds of sound device."""

    MICROPHONE = "microphone"
    SPEAKER = "speaker"


@dataclass(frozen=True, slots=True)
class SoundDevice:
    """A sound device of this computer.

    Args:
        number: what it is opened by; it changes when devices come and go.
        name: what the system calls it.
        inputs: channels that it records; 0 for a speaker.
        outputs: channels that it plays; 0 for a microphone.
        is_default_input: whether it is the microphone that is used when none is named.
        is_default_output: whether it is the speaker that is used when none is named.
        rate: samples a second that it works with by itself; others are converted, by the system or by us.
    """

    number: int
    name: str
    inputs: int
    outputs: int
    is_default_input: bool
    is_default_output: bool
    rate: int = 48_000

    def serves(self, direction: Direction) -> bool:
        """Whether it can be used so."""
        match direction:
            case Direction.MICROPHONE:
                return self.inputs > 0
            case Direction.SPEAKER:
                return self.outputs > 0
            case _ as never:
                assert_never(never)

    def is_default(self, direction: Direction) -> bool:
        """Whether it is used so when none is named."""
        match direction:
            case Direction.MICROPHONE:
                return self.is_default_input
            case Direction.SPEAKER:
                return self.is_default_output
            case _ as never:
                assert_never(never)


def find(devices: Sequence[SoundDevice], direction: Direction, wanted: str | int | None) -> SoundDevice | None:
    """The device that is meant, None when it is not there.

    Args:
        devices: all there are.
        direction: what it is to be used for.
        wanted: its number; its name or a part of it, in any case of letters, whole names first; None: the default.
    """
    fitting = [device for device in devices if device.serves(direction)]
    if wanted is None:
        return next((device for device in fitting if device.is_default(direction)), fitting[0] if fitting else None)
    if isinstance(wanted, int):
        return next((device for device in fitting if device.number == wanted), None)
    name = wanted.casefold()
    whole = (device for device in fitting if device.name.casefold() == name)
    part = (device for device in fitting if name in device.name.casefold())
    return next(whole, None) or next(part, None)
