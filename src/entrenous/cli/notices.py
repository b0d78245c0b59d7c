"""What a node reports beside its calls, in sentences."""

from __future__ import annotations

import time
from typing import Final

from entrenous import (
    KeyChanged,
    MissedCall,
    Node,
    Notice,
    OwnDeviceAdded,
    OwnDeviceGone,
    OwnDeviceLoggedIn,
    ServerBack,
    ServerLost,
)

from .output import Output, event_name, plain

_HELP: Final = "entrenous account devices --help"


def moment(then: float) -> str:
    """A time (Unix seconds) as a person here says it."""
    return time.strftime("%Y-%m-%d at %H:%M", time.localtime(then))


def notice_sentence(notice: Notice) -> str:
    """One line about `notice` for a person."""
    match notice:
        case KeyChanged(address=address):
            return (
                f"The identity key of {address} has changed; calls with them are blocked. If they confirm it: "
                f"entrenous contacts accept-new-key {address}"
            )
        case MissedCall(address=address, called_at=float(then), video=video):
            return f"While you were away {address} called{' with picture' if video else ''}, on {moment(then)}."
        case MissedCall(address=address, sentence=why):
            return f"Missed a call of {address}." + (f" {why}" if why else "")
        case OwnDeviceAdded(device=device, seen_at=then, again=again):
            news = (
                f"The device {device} belongs to your account again, since {moment(then)}."
                if again
                else f"A device that you have not seen before, {device}, was added to your account, as seen on "
                f"{moment(then)}."
            )
            return f"{news} If it was not you, somebody has your keys; what to do: {_HELP}"
        case OwnDeviceGone(device=device, seen_at=then):
            return f"The device {device} does not belong to your account any more, as seen on {moment(then)}."
        case OwnDeviceLoggedIn(device=device, logged_in_at=then):
            return f"Your device {device} logged in on {moment(then)}. If it was not you: {_HELP}"
        case ServerLost(sentence=sentence):
            return f"{sentence} A call that is on goes on; the server is tried again."
        case ServerBack():
            return "The signaling server is back."


async def watch(node: Node, output: Output) -> None:
    """Tell what happens to the node beside its calls, until it closes."""
    async for notice in node.notices():
        output.event(event_name(notice), **plain(notice))
        output.progress(notice_sentence(notice))
