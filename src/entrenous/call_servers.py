"""The STUN and TURN servers of one call, with credentials of its own that are renewed before they run out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from .call_tasks import CallTasks
from .media.engine import IceServer
from .relays import Lease

RELAY_PATIENCE: Final = 2.0
"""How long the first leg of a call waits to hear of relays: a server that is away must not hold up what works without.

A hand-off does not wait at all: it uses what the call knows.
"""

RENEW_AFTER: Final = 0.5
"""The part of their life after which credentials are renewed: the other half is for a server that is away."""

RETRY_SECONDS: Final = 5.0
"""Pause before a server that did not answer is asked again, and the shortest between any two questions."""


class CallServers:
    """Asks for the servers of a call when its first leg needs them, and keeps their credentials fresh from then on.

    Args:
        fetch: asks the node; does not raise when the server is away.
        renewed: told each new list, for the legs that live already.
        tasks: those of the call.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Lease]],
        renewed: Callable[[Sequence[IceServer]], None],
        tasks: CallTasks,
    ) -> None:
        self._fetch = fetch
        self._renewed = renewed
        self._tasks = tasks
        self._keeping = False
        self._known = asyncio.Event()
        self.current: Sequence[IceServer] = ()
        """What legs may use now; empty while nothing is known."""

    @property
    def lacks_relay(self) -> bool:
        """Whether it is known that this call has no relay: the server has answered, and named none that we can use."""
        return self._known.is_set() and not has_relay(self.current)

    async def learn(self, *, wait: bool) -> None:
        """Have the servers asked for; with `wait`, for the first time only and up to `RELAY_PATIENCE`."""
        if not self._keeping:
            self._keeping = True
            self._tasks.prepare(self._keep())
        if wait:
            try:
                async with asyncio.timeout(RELAY_PATIENCE):
                    await self._known.wait()
            except TimeoutError:
                return

    async def _keep(self) -> None:
        """Ask, and ask again, for as long as the call lives; the old ones stay while nobody answers."""
        while True:
            lease = await self._fetch()
            if lease.answered:
                self.current = lease.servers
                self._known.set()
                self._renewed(lease.servers)
            if lease.seconds is None:
                return
            await asyncio.sleep(max(lease.seconds * RENEW_AFTER, RETRY_SECONDS))


def has_relay(servers: Sequence[IceServer]) -> bool:
    """Whether one of the servers relays."""
    return any(server.url.startswith(("turn:", "turns:")) for server in servers)


def relays_of(servers: Sequence[IceServer]) -> list[IceServer]:
    """Those that relay: what asks a STUN server shows it our address."""
    return [server for server in servers if has_relay([server])]
