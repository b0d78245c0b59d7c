"""Which STUN and TURN servers a call may use: those of the configuration, and the operator's relay if there is one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from entrenous_wire.messages import ErrorCode, Turn

from .errors import RequestRefused, ServerUnreachable
from .media.engine import IceServer, MediaEngine

MAX_RELAYS: Final = 8
"""Relay URLs of the server that are looked at: each costs a socket a leg."""


class Relays:
    """Knows whether the operator runs a relay, and asks for credentials.

    Args:
        engine: says which URLs it can use.
        stun: STUN URLs of the configuration.
        fetch: asks the signaling server for credentials; raises RequestRefused or ServerUnreachable.
    """

    def __init__(self, engine: MediaEngine, stun: Sequence[str], fetch: Callable[[], Awaitable[Turn]]) -> None:
        self._engine = engine
        self._stun = stun
        self._fetch = fetch
        self.absent = False
        """Whether the server has said that there is none."""

    async def look(self) -> None:
        """Learn early whether there is a relay, so that a ring need not wait for the answer."""
        self.absent = False
        await self._credentials()

    async def servers(self) -> list[IceServer]:
        """All servers, with credentials for one call; those that cannot be used are left out."""
        servers = [IceServer(url) for url in self._stun]
        turn = await self._credentials()
        if turn is not None:
            relays = [IceServer(url, turn.username, turn.password) for url in turn.urls[:MAX_RELAYS]]
            servers += [relay for relay in relays if self._engine.takes(relay)]
        return servers

    async def _credentials(self) -> Turn | None:
        if self.absent:
            return None
        try:
            return await self._fetch()
        except RequestRefused as error:
            self.absent = error.code == ErrorCode.NO_RELAY
            return None
        except ServerUnreachable:
            return None
