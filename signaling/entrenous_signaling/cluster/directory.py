"""Who is where: the sessions of all nodes, as each node has told them.

Of two sessions of a device the newer one counts, told by its stamp: the time at which it began, but higher than every
stamp that the node had seen by then, so that clocks that differ do no harm to what comes one after the other. The
devices of a node that is lost are expected back, at any node, for a while.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from ..mailbox import DeviceKey
from .envelopes import Session


class Home(Struct, frozen=True):
    """Where a device has its session.

    Args:
        node: whose it is.
        session: what it said of it.
        lost_until: Unix seconds until which the device is expected back, when the node is lost; or None.
    """

    node: bytes
    session: Session
    lost_until: float | None = None


class Directory:
    """The sessions of the cluster."""

    def __init__(self) -> None:
        self._homes: dict[DeviceKey, Home] = {}
        self._by_hash: dict[bytes, DeviceKey] = {}
        self._highest = 0
        self._purge_at: float | None = None

    def __len__(self) -> int:
        return len(self._homes)

    def stamp(self, now: float) -> int:
        """A stamp for a session that begins now."""
        self._highest = max(int(now * 1000), self._highest + 1)
        return self._highest

    def find(self, key: DeviceKey) -> Home | None:
        """Where a device has its session, or had it when its node was lost."""
        return self._homes.get(key)

    def find_session(self, token_hash: bytes) -> tuple[DeviceKey, Home] | None:
        """The device whose session has that hash, and where it is."""
        key = self._by_hash.get(token_hash)
        return None if key is None else (key, self._homes[key])

    def of(self, node: bytes) -> Iterator[Session]:
        """The sessions of a node."""
        return (home.session for home in self._homes.values() if home.node == node)

    def of_account(self, username: str) -> Iterator[Home]:
        """Where the devices of an account have their sessions."""
        return (home for key, home in self._homes.items() if key.username == username)

    def put(self, node: bytes, session: Session) -> bool:
        """A node says that it has a session.

        Returns:
            False when a newer session of the device is known: nothing changes then.
        """
        self._highest = max(self._highest, session.stamp)
        key = DeviceKey(session.username, session.device)
        known = self._homes.get(key)
        if known is not None:
            newer = (session.stamp, node) >= (known.session.stamp, known.node)
            if not newer and known.lost_until is None:
                return False
            self._forget(key)
        self._homes[key] = Home(node, session)
        self._by_hash[session.hash] = key
        return True

    def remove(self, key: DeviceKey, node: bytes) -> bool:
        """The session of a device at a node is over; False when that node had none."""
        known = self._homes.get(key)
        if known is None or known.node != node:
            return False
        self._forget(key)
        return True

    def remove_account(self, username: str) -> None:
        """An account was deleted: none of its sessions can be resumed."""
        for key in [key for key in self._homes if key.username == username]:
            self._forget(key)

    def lose(self, node: bytes, until: float) -> None:
        """A node is lost: expect its devices back until then."""
        for key, home in self._homes.items():
            if home.node == node and home.lost_until is None:
                self._homes[key] = Home(node, home.session, until)
                self._purge_at = until if self._purge_at is None else min(self._purge_at, until)

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, or None."""
        return self._purge_at

    def tick(self, now: float) -> None:
        """Forget the devices that did not come back."""
        if self._purge_at is None or now < self._purge_at:
            return
        waiting = {key: home.lost_until for key, home in self._homes.items() if home.lost_until is not None}
        for key, until in waiting.items():
            if until <= now:
                self._forget(key)
        self._purge_at = min((until for until in waiting.values() if until > now), default=None)

    def _forget(self, key: DeviceKey) -> None:
        home = self._homes.pop(key)
        if self._by_hash.get(home.session.hash) == key:
            del self._by_hash[home.session.hash]
