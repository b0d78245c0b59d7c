"""The other devices of our own account: who has come to it and who has gone, told to its owner.

Nobody has to be believed for it: a device belongs to the account when the account's identity key says so. What a
server may do is to hide one from us. It cannot make one up.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

from entrenous_wire.certificate import same_key
from entrenous_wire.messages import Devices, LoggedIn

from .crypto.identity import verify_certificate
from .crypto.profile import KnownDevice
from .errors import KeystoreError, ServerError, VerificationError
from .events import OwnDeviceAdded, OwnDeviceGone, OwnDeviceLoggedIn
from .profile import Profile

log = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 60.0
"""After which another login of the same device is told: a server cannot bury everything else under such news."""

SPREAD_SECONDS: Final = 30.0
"""How long a device that has come in the meantime may go unnoticed by a node that is back."""

OwnDeviceNotice = OwnDeviceAdded | OwnDeviceGone | OwnDeviceLoggedIn


class OwnDevices:
    """Compares the devices of the account with those that were seen before.

    Who has come or gone is kept in the profile until it was told, as missed calls are.

    Args:
        profile: whose account, and where it is remembered.
        fetch: asks the server for the devices of the account; raises ServerError.
        tell: gets the news.
    """

    def __init__(
        self, profile: Profile, fetch: Callable[[], Awaitable[Devices]], tell: Callable[[OwnDeviceNotice], None]
    ) -> None:
        self._profile = profile
        self._fetch = fetch
        self._tell = tell
        self._waits = False
        self._looking = False
        self._look_again = False
        self._told_at: dict[str, float] = {}
        self.refused = 0
        """What the server said of the account and could not prove."""

    def tell_untold(self) -> None:
        """Tell what an earlier process has seen and not told."""
        for device in self._profile.stored.devices:
            if not device.told:
                self._tell(_event(device))

    def logged_in(self, login: LoggedIn, now: float) -> bool:
        """The server says that a device has logged in.

        Args:
            login: what it says.
            now: seconds of a monotonic clock.

        Returns:
            Whether that is not known to be a device of the account, so that `look` shall find out.
        """
        known = {device.device_id for device in self._profile.stored.devices if not device.gone}
        if login.new or login.device not in known:
            return True
        if now - self._told_at.get(login.device, -AGAIN_SECONDS) >= AGAIN_SECONDS:
            self._told_at[login.device] = now
            self._tell(OwnDeviceLoggedIn(login.device, float(login.at)))
        return False

    async def look_soon(self) -> None:
        """Look within SPREAD_SECONDS: when a server comes back, all its nodes do so at once."""
        if self._waits:
            return
        self._waits = True
        try:
            await asyncio.sleep(random.uniform(0.0, SPREAD_SECONDS))  # noqa: S311 - spreads load, hides nothing
        finally:
            self._waits = False
        await self.look()

    async def look(self) -> None:
        """Ask the server for the devices of the account, and tell what has changed; one look at a time."""
        self._look_again = True
        if self._looking:
            return
        self._looking = True
        try:
            while self._look_again:
                self._look_again = False
                self._take(await self._fetch(), time.time())
        except ServerError as error:  # it is looked again when the session stands the next time
            log.info("the devices of the account could not be looked up: %s", type(error).__name__)
        finally:
            self._looking = False

    def told(self, notice: OwnDeviceAdded | OwnDeviceGone) -> None:
        """The person was told."""
        try:
            self._profile.told_device(notice.device, gone=isinstance(notice, OwnDeviceGone))
        except KeystoreError as error:
            log.warning("a device may be told again: %s", type(error).__name__)

    def _take(self, answer: Devices, now: float) -> None:
        own = self._profile
        if answer.address != str(own.address) or not same_key(answer.identity_key, own.identity_key):
            self.refused += 1
            return
        found = set()
        for raw in (*(entry.certificate for entry in answer.devices), *answer.unreachable):
            try:
                certificate = verify_certificate(raw, now, own.identity_key)
            except VerificationError:
                self.refused += 1
                continue
            if certificate.address == own.address:
                found.add((certificate.device_id, certificate.device_key))
        before = own.stored.devices
        after = own.stored.with_devices(found, now).devices
        if after == before:
            return
        try:
            own.note_devices(found, now)
        except KeystoreError as error:
            log.warning("devices could not be remembered: %s", type(error).__name__)
        for device in after:
            if device not in before:
                self._tell(_event(device))


def _event(device: KnownDevice) -> OwnDeviceAdded | OwnDeviceGone:
    if device.gone:
        return OwnDeviceGone(device.device_id, device.since)
    return OwnDeviceAdded(device.device_id, device.since, device.again)
