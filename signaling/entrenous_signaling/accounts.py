"""What the devices of one account may still do together, as long as it has any here and until its buckets are full."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, assert_never

from entrenous_wire.messages import (
    Ack,
    DeleteAccount,
    FetchDevices,
    FromNode,
    Kind,
    Leave,
    Live,
    Login,
    Publish,
    Register,
    Resume,
    Send,
    Taken,
    TurnRequest,
)

from .limits import Bounds, TokenBucket
from .mailbox import DeviceKey
from .timers import Timers

_MESSAGE: Final = (
    Kind.MESSAGE
)  # for the way of each message: looking it up in its class takes as long as all else there


@dataclass(slots=True, eq=False)
class AccountLimits:
    """What all devices of one account may still do together.

    Args:
        username: whose.
        frames: what they may say.
        directory: what they may look up, publish and store for others.
        relay: how often they may have relay credentials.
        devices: those with a session.
        active_week: the week that was noted as that of its last use, or None.
    """

    username: str
    frames: TokenBucket
    directory: TokenBucket
    relay: TokenBucket
    devices: set[DeviceKey] = field(default_factory=set)
    active_week: int | None = None

    def charge(self, message: FromNode, now: float) -> float:
        """Charge a message to all devices together.

        Returns:
            0.0, or so many seconds until they may say it.
        """
        wait = self.frames.take(now)
        further = self._further_bucket(message)
        return wait if wait > 0.0 or further is None else further.take(now)

    def _further_bucket(self, message: FromNode) -> TokenBucket | None:
        """What a message is charged to beside what all are: it costs signature checks, the disk or the relay."""
        if isinstance(message, Send):  # nearly all that is charged: a pattern takes longer
            return self.directory if message.kind is _MESSAGE else None
        match message:
            case FetchDevices() | Publish() | DeleteAccount():
                return self.directory
            case TurnRequest():
                return self.relay
            case Login() | Register() | Resume() | Leave() | Ack() | Live() | Taken():
                return None
            case _:
                assert_never(message)


class Accounts:
    """The accounts that have a device here, or had one a short while ago.

    Args:
        bounds: the rates.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._accounts: dict[str, AccountLimits] = {}
        self._resting: Timers[str] = Timers()  # without a device, until their buckets are full again

    def enter(self, key: DeviceKey, now: float) -> AccountLimits:
        """A device has a session; returns what its account may do."""
        account = self._accounts.get(key.username)
        if account is None:
            account = self._accounts[key.username] = AccountLimits(
                username=key.username,
                frames=TokenBucket(self._bounds.account_rate, now),
                directory=TokenBucket(self._bounds.directory_rate, now),
                relay=TokenBucket(self._bounds.relay_rate, now),
            )
        account.devices.add(key)
        self._resting.cancel(key.username)
        return account

    def leave(self, key: DeviceKey, now: float) -> None:
        """The session of a device is over; leaving and coming back fills no bucket."""
        account = self._accounts.get(key.username)
        if account is None:
            return
        account.devices.discard(key)
        if not account.devices:
            rates = (self._bounds.account_rate, self._bounds.directory_rate, self._bounds.relay_rate)
            self._resting.set(key.username, now + max(rate.burst / rate.per_second for rate in rates))

    def devices_of(self, username: str) -> tuple[DeviceKey, ...]:
        """The devices of an account that have a session."""
        account = self._accounts.get(username)
        return () if account is None else tuple(account.devices)

    def present(self) -> Iterator[AccountLimits]:
        """Those that have a device here."""
        return (account for account in self._accounts.values() if account.devices)

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, or None."""
        return self._resting.next()

    def tick(self, now: float) -> None:
        """Forget the accounts that have rested."""
        for username in self._resting.due(now):
            del self._accounts[username]
