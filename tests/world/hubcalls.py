"""Calls at the simulated hub: what their devices say, and what they claim."""

from __future__ import annotations

import itertools

from entrenous_wire.messages import Accepted, Deliver, Kind, Live, LiveCall

from .hubworld import ALICE, BOB, CALL, HubNode, HubWorld, two
from .wirenode import Account

NUMBERS = itertools.count(1)
"""Of the messages that are sent, so that each has an id of its own."""


def say(node: HubNode, who: Account, to: Account, kind: Kind, call: bytes = CALL) -> bytes:
    """Send a message of a call, and tell its id."""
    message = who.send(next(NUMBERS), to, kind, call)
    node.say(message)
    return message.id


def in_call() -> tuple[HubWorld, HubNode, HubNode, bytes]:
    """Alice has called, bob has accepted; what he is told of the record comes last."""
    world, alice, bob = two()
    say(bob, BOB, ALICE, Kind.ACCEPT)
    assert alice.hear(Deliver).record == world.hub._router.calls.tokens.of_caller(CALL)
    token = bob.hear(Accepted).record
    assert token is not None
    return world, alice, bob, token


def claim(token: bytes, peer: Account) -> Live:
    """What a device says of the call it is in with another."""
    return Live(calls=[LiveCall(call=CALL, record=token, peer=peer.address, device=peer.device)])
