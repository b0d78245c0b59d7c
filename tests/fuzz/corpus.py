"""Real frames for a fuzzer to begin with."""

from __future__ import annotations

from msgspec import structs

from entrenous_wire.codec import encode
from entrenous_wire.messages import Kind, Send
from world.samples import FROM_NODE, FROM_SERVER


def frames() -> list[bytes]:
    """One of each message that node and server say, and of `send` one of each kind."""
    (send,) = (message for message in FROM_NODE if isinstance(message, Send))
    kinds = [structs.replace(send, kind=kind, call=send.id if kind is Kind.MESSAGE else send.call) for kind in Kind]
    return [encode(message).encode() for message in (*FROM_NODE, *FROM_SERVER, *kinds)]
