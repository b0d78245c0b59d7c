"""Which parts of the voice processing are on. Pure: what is installed comes in as an argument."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never


class Switch(StrEnum):
    """Whether a part of the processing is used."""

    AUTO = "auto"
    """Used where it is installed."""
    ON = "on"
    """Used; it is an error when it is not installed."""
    OFF = "off"
    """Not used, and costs nothing."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What runs.

    Args:
        echo: the echo canceller.
        noise: the noise suppressor.
        gain: the automatic gain.
    """

    echo: bool
    noise: bool
    gain: bool

    def __bool__(self) -> bool:
        """Whether anything runs at all."""
        return self.echo or self.noise or self.gain


@dataclass(frozen=True, slots=True, kw_only=True)
class Processing:
    """What is done to the microphone's sound.

    Args:
        echo: take out what the speaker plays.
        noise: make steady noise softer.
        gain: bring soft voices to one level. Off unless asked for: it lifts the noise of a quiet room too.
        headset: nothing of the speaker reaches the microphone, so the echo canceller, which makes the near voice
            softer while both speak, stays off whatever `echo` says.
    """

    echo: Switch = Switch.AUTO
    noise: Switch = Switch.AUTO
    gain: Switch = Switch.OFF
    headset: bool = False

    def parts(self, *, installed: bool) -> Parts:
        """What is to run; with nothing installed, what was switched on explicitly still is, for the caller to refuse.

        Args:
            installed: whether the library that does it is there.
        """
        return Parts(
            echo=not self.headset and _is_on(self.echo, installed=installed),
            noise=_is_on(self.noise, installed=installed),
            gain=_is_on(self.gain, installed=installed),
        )


def _is_on(switch: Switch, *, installed: bool) -> bool:
    match switch:
        case Switch.AUTO:
            return installed
        case Switch.ON:
            return True
        case Switch.OFF:
            return False
        case _ as never:
            assert_never(never)
