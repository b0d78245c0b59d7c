"""Which device is meant."""

from __future__ import annotations

import pytest

from entrenous.media.devices.listing import Direction, SoundDevice, find

DEVICES = [
    SoundDevice(0, "HDA Intel: speakers", 0, 2, False, False),
    SoundDevice(1, "USB Headset", 1, 2, False, False),
    SoundDevice(2, "Headset", 1, 0, False, False),
    SoundDevice(3, "default", 32, 32, True, True),
]


@pytest.mark.parametrize(
    ("wanted", "microphone", "speaker"),
    [
        (None, 3, 3),
        (1, 1, 1),
        (0, None, 0),
        (7, None, None),
        ("headset", 2, 1),
        ("usb", 1, 1),
        ("HDA", None, 0),
        ("the moon", None, None),
    ],
)
def test_numbers_names_parts_of_names_and_the_default(
    wanted: str | int | None, microphone: int | None, speaker: int | None
) -> None:
    for direction, number in ((Direction.MICROPHONE, microphone), (Direction.SPEAKER, speaker)):
        found = find(DEVICES, direction, wanted)
        assert (found.number if found else None) == number


def test_without_a_default_it_is_the_first_that_fits() -> None:
    found = find(DEVICES[:3], Direction.MICROPHONE, None)
    assert found is DEVICES[1]
    assert find([], Direction.SPEAKER, None) is None
