"""Which STUN and TURN servers a call may use: those of the configuration, and the operator's relay if there is one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from entrenous_wire.messages import ErrorCode, Turn

from .errors import RequestRefused, ServerUnreachable
from .media.engine import IceServer, MediaEngine

MAX_RELAYS: Final = 8
"""Relay URLs of the server that are looked at: each costs a socket a leg."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Servers for one call.

    Args:
        servers: with their credentials; those of the configuration alone when nothing is known of relays.
        seconds: how long they are good for, None for ever.
        answered: whether the signaling server has said which relays there are.
    """

    servers: tuple[IceServer, ...]
    seconds: float | None
    answered: bool = True


class Relays:
    """Knows whether the operator runs a relay, and asks for credentials.

    Args:
        engine: says which URLs it can use.
        stun: STUN URLs of the configuration.
        fetch: asks the signaling server for credentials; raises RequestRefused or ServerUnreachable.
    """

    def __init__(self, engine: MediaEngine, stun: Sequence[str], fetch: Callable[[], Awaitable[Turn]]) -> None:
        self._engine = engine
        self._stun = tuple(IceServer(url) for url in stun)
        self._fetch = fetch
        self.absent = False
        """Whether the server has said that there is none."""

    async def look(self) -> None:
        """Learn early whether there is a relay, so that a ring need not wait for the answer."""
        self.absent = False
        await self.lease()

    async def lease(self) -> Lease:
        """All servers, with credentials for one call that name nobody; those that cannot be used are left out."""
        if self.absent:
            return Lease(self._stun, None)
        try:
            turn = await self._fetch()
        except RequestRefused as error:
            self.absent = error.code == ErrorCode.NO_RELAY
            return Lease(self._stun, None if self.absent else 0.0, answered=self.absent)
        except ServerUnreachable:
            return Lease(self._stun, 0.0, answered=False)
        relays = (IceServer(url, turn.username, turn.password) for url in turn.urls[:MAX_RELAYS])
        usable = tuple(relay for relay in relays if self._engine.takes(relay))
        return Lease(self._stun + usable, float(turn.ttl))
