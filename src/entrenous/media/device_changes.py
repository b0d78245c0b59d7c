"""How a source or a sink on a sound device lets the session know that it goes on with another device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from .devices import DeviceChange

Tell = Callable[[DeviceChange], None]


@runtime_checkable
class OnDevices(Protocol):
    """A source or sink on a device, or one that passes everything on to such.

    It is no part of what every source and sink has to offer: files and screens have nothing to tell.
    """

    def tell_device_changes(self, tell: Tell) -> None:
        """From the next start on, call `tell` on the event loop when another device is used from now on."""


def tell_device_changes(part: object, tell: Tell) -> None:
    """Have `part` tell of changes of its device, if it is a source or sink that may be on one; before its start."""
    if isinstance(part, OnDevices):
        part.tell_device_changes(tell)
