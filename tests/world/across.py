"""Two devices at two of several hubs, and what each of them has heard of messages."""

from __future__ import annotations

from entrenous_signaling.cluster.peers import LOST_SECONDS
from entrenous_wire.messages import Deliver, Delivered, Error

from .hubworld import ALICE, BOB, HubNode
from .manyhubs import ManyHubs

A_LITTLE = LOST_SECONDS + 2.0
"""Seconds after which a node that is gone is missed."""


def id_of(number: int) -> bytes:
    """The id of a message, as accounts number what they say."""
    return number.to_bytes(16, "big")


def three() -> tuple[ManyHubs, HubNode, HubNode]:
    """Alice at the first of three nodes, Bob at the second."""
    hubs = ManyHubs(3)
    return hubs, hubs.hubs[0].register(ALICE), hubs.hubs[1].register(BOB)


def ids(node: HubNode) -> list[int]:
    """The numbers of the messages that a node has heard since the last time; nothing else was said."""
    heard = node.hear_all()
    assert all(isinstance(message, Deliver) for message in heard), heard
    return [int.from_bytes(message.id, "big") for message in heard if isinstance(message, Deliver)]


def outcomes(node: HubNode) -> list[tuple[str, int]]:
    """What was said of messages, without `accepted`."""
    told: list[tuple[str, int]] = []
    for message in node.hear_all():
        if isinstance(message, Delivered):
            told += [("delivered", int.from_bytes(known, "big")) for known in message.ids]
        elif isinstance(message, Error):
            assert message.id is not None
            told.append((message.code.value, int.from_bytes(message.id, "big")))
    return told
