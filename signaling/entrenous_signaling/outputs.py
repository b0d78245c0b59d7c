"""What the hub asks of the world: transmit, close, execute, publish.

`Outbox` collects them while one input is handled, and remembers who waits for which store request. Several are made
for each message that is routed, so they are structs of msgspec, which are made in C and which the garbage collector
does not have to visit: they refer to nothing that could refer to them.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from msgspec import Struct

from entrenous_wire.messages import FromServer

from .store.requests import Failed, StoreRequest, StoreResult

Continuation = Callable[[StoreResult | Failed, float], None]
"""Takes the result of a store request, and the time at which it came."""


class CloseCode(IntEnum):
    """WebSocket close codes that the server uses (RFC 6455 7.4; 4000 and above are ours)."""

    LEFT = 1000
    """The device said that it goes."""
    POLICY = 1008
    """Not logged in in time, or far over the limits."""
    TOO_BIG = 1009
    """A frame above MAX_FRAME_BYTES."""
    RESTART = 1012
    """The server goes down and comes back."""
    REPLACED = 4001
    """The device has logged in on another connection."""
    DELETED = 4002
    """The account was deleted."""


class Transmit(Struct, frozen=True, gc=False):
    """Say something on a connection."""

    connection: int
    message: FromServer


class Close(Struct, frozen=True, gc=False):
    """Close a connection after what was said on it; the hub has forgotten it already."""

    connection: int
    code: CloseCode


class Execute(Struct, frozen=True, gc=False):
    """Carry out a store request; answer with `Hub.stored` or `Hub.store_failed` and this ticket, exactly once."""

    ticket: int
    request: StoreRequest


class Publish(Struct, frozen=True, gc=False):
    """Hand a payload to the other nodes of the cluster; that it is lost, repeated or overtaken does no harm.

    Args:
        node: which of them, or None for all.
        payload: what their `Hub.bus_received` takes; not secret from them, and from everybody else.
    """

    node: bytes | None
    payload: bytes


Output = Transmit | Close | Execute | Publish


class Outbox:
    """Collects outputs in order, and keeps the continuation of each store request until it is answered."""

    def __init__(self) -> None:
        self._outputs: list[Output] = []
        self._waiting: dict[int, Continuation] = {}
        self._next_ticket = 1

    def transmit(self, connection: int, message: FromServer) -> None:
        """Say `message` on `connection`."""
        self._outputs.append(Transmit(connection, message))

    def close(self, connection: int, code: CloseCode) -> None:
        """Close `connection`."""
        self._outputs.append(Close(connection, code))

    def publish(self, node: bytes | None, payload: bytes) -> None:
        """Hand `payload` to a node, or to all others."""
        self._outputs.append(Publish(node, payload))

    def execute(self, request: StoreRequest, then: Continuation) -> None:
        """Carry out `request` and call `then` with what came of it."""
        ticket = self._next_ticket
        self._next_ticket += 1
        self._waiting[ticket] = then
        self._outputs.append(Execute(ticket, request))

    def resolve(self, ticket: int, result: StoreResult | Failed, now: float) -> None:
        """Hand a result to who waits for it.

        Raises:
            KeyError: the ticket was never given out, or answered before: the shell is wrong.
        """
        self._waiting.pop(ticket)(result, now)

    def take(self) -> list[Output]:
        """Everything collected since the last call."""
        outputs, self._outputs = self._outputs, []
        return outputs
