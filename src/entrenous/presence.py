"""Being there: one link to the server after the other, logged in with keys that the server knows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from entrenous_wire.addresses import Address
from entrenous_wire.messages import Devices

from .account import credentials_of
from .config import NodeConfig
from .errors import LocalProtocolError, ServerUnreachable
from .events import Notice, ServerLost
from .link import Link, LinkUser
from .profile import Profile
from .protocol.deadlines import Timeouts

CONNECT_SECONDS: Final = 15.0
"""How long logging in may take."""

AWAY_SECONDS: Final = 3.0
"""How long a question waits for a server that is known to be away."""

FLUSH_SECONDS: Final = 2.0
"""How long leaving waits until the last words are delivered."""

LOGIN_PAUSE: Final = 30.0
"""How long a login with renewed keys waits for a server that is away."""


class Presence:
    """Keeps a device at its server.

    Args:
        config: where the server is.
        profile: who logs in.
        timeouts: the durations.
        user: who is told what the link tells.
        tell: told when logging in anew has to wait for the server.

    Attributes:
        away: whether the server is known to be away; set by who hears that from the link.
    """

    def __init__(
        self,
        config: NodeConfig,
        profile: Profile,
        timeouts: Timeouts,
        user: LinkUser,
        tell: Callable[[Notice], None],
    ) -> None:
        self.away = False
        self._config = config
        self._profile = profile
        self._timeouts = timeouts
        self._user = user
        self._tell = tell
        self._link: Link | None = None

    @property
    def link(self) -> Link:
        """The link of now; raises LocalProtocolError before the first login."""
        if self._link is None:
            raise LocalProtocolError("The node is not running.")
        return self._link

    async def log_in(self) -> None:
        """Connect, log in and publish prekeys.

        Raises:
            ServerUnreachable, RequestRefused: as `Link.open`.
        """
        self._link = link = Link(self._config, credentials_of(self._profile), self._user, timeouts=self._timeouts)
        await link.open(CONNECT_SECONDS)
        try:
            # A device whose prekeys are not published cannot be called: it is not up before that.
            await link.publish(self._profile.stored.published_prekeys(time.time()))
        except BaseException:
            await link.close()
            raise

    async def log_in_anew(self) -> None:
        """Show the server a renewed certificate, which only a login does, and publish the new prekeys."""
        await self.link.close(FLUSH_SECONDS)
        while True:
            try:
                await self.log_in()
            except ServerUnreachable as error:
                self._tell(ServerLost(str(error)))
                await asyncio.sleep(LOGIN_PAUSE)
            else:
                return

    async def fetch_devices(self, address: Address) -> Devices:
        """Ask for the devices of an account; a server that is known to be away has a moment to come back.

        Raises:
            RequestRefused, ServerUnreachable: as `Link.fetch_devices`.
        """
        try:
            async with asyncio.timeout(AWAY_SECONDS if self.away else None):
                return await self.link.fetch_devices(address)
        except TimeoutError:
            raise ServerUnreachable(
                f"Your signaling server, {self._profile.address.host}, cannot be reached. "
                "Check your network, then try again."
            ) from None

    async def leave(self) -> None:
        """Say the last words and close the link; harmless before the first login."""
        if self._link is not None:
            await self._link.close(FLUSH_SECONDS)
