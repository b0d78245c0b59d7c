"""What a node reports beside its calls, in sentences."""

from __future__ import annotations

import time

from entrenous import KeyChanged, MissedCall, Node, Notice, ServerBack, ServerLost

from .output import Output, event_name, plain


def notice_sentence(notice: Notice) -> str:
    """One line about `notice` for a person."""
    match notice:
        case KeyChanged(address=address):
            return (
                f"The identity key of {address} has changed; calls with them are blocked. If they confirm it: "
                f"entrenous contacts accept-new-key {address}"
            )
        case MissedCall(address=address, called_at=float(then), video=video):
            moment = time.strftime("%Y-%m-%d at %H:%M", time.localtime(then))
            return f"While you were away {address} called{' with picture' if video else ''}, on {moment}."
        case MissedCall(address=address, sentence=why):
            return f"Missed a call of {address}." + (f" {why}" if why else "")
        case ServerLost(sentence=sentence):
            return f"{sentence} A call that is on goes on; the server is tried again."
        case ServerBack():
            return "The signaling server is back."


async def watch(node: Node, output: Output) -> None:
    """Tell what happens to the node beside its calls, until it closes."""
    async for notice in node.notices():
        output.event(event_name(notice), **plain(notice))
        output.progress(notice_sentence(notice))
