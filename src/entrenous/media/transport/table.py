"""The addresses of both ends and the pairs that they make, within bounds (pure)."""

from __future__ import annotations

from collections.abc import Iterable

from .pairs import Local, Pair, Remote
from .stun import Address

MAX_REMOTES = 40
"""Addresses of the peer that are kept; those that were of no use for the longest go first."""

MAX_PAIRS = 120
"""Pairs that are kept; further ones are not made."""


class PairTable:
    """Every address of ours with every one of the peer's that is of the same kind."""

    def __init__(self) -> None:
        self._locals: list[Local] = []
        self._remotes: dict[Address, Remote] = {}
        self._pairs: dict[tuple[Local, Address], Pair] = {}

    @property
    def pairs(self) -> Iterable[Pair]:
        """All pairs."""
        return self._pairs.values()

    @property
    def has_hosts(self) -> bool:
        """Whether any address of ours is not a relay's."""
        return any(not local.relayed for local in self._locals)

    def knows(self, address: Address) -> bool:
        """Whether this is an address of the peer."""
        return address in self._remotes

    def find(self, local: Local, address: Address) -> Pair | None:
        """The pair of these two."""
        return self._pairs.get((local, address))

    def add_local(self, local: Local, now: float) -> bool:
        """Pair an address of ours with all of the peer's; whether that made a pair."""
        self._locals.append(local)
        return sum(self._pair(local, remote, now) for remote in self._remotes.values()) > 0

    def drop_local(self, local: Local) -> list[Pair]:
        """Forget an address of ours; the pairs that are gone with it."""
        self._locals.remove(local)
        return self._drop([key for key in self._pairs if key[0] is local])

    def add_remote(self, remote: Remote, now: float, keep: Pair | None) -> tuple[bool, list[Pair]]:
        """Pair an address of the peer with all of ours.

        Args:
            remote: a new one, or a known one of which more is known now.
            now: when the pairs may first be checked.
            keep: a pair that must not go to make room.

        Returns:
            Whether there are new pairs, and those that had to make room.
        """
        known = self._remotes.get(remote.address)
        if known is not None:
            known.kind, known.priority = remote.kind, remote.priority
            return False, []
        dropped = self._drop_useless(keep) if len(self._remotes) >= MAX_REMOTES else []
        self._remotes[remote.address] = remote
        return sum(self._pair(local, remote, now) for local in self._locals) > 0, dropped

    def _pair(self, local: Local, remote: Remote, now: float) -> bool:
        if local.is_ipv6 != remote.address.is_ipv6 or len(self._pairs) >= MAX_PAIRS:
            return False
        self._pairs[local, remote.address] = Pair(local, remote, now)
        return True

    def _drop_useless(self, keep: Pair | None) -> list[Pair]:
        used: dict[Address, float] = dict.fromkeys(self._remotes, float("-inf"))
        for pair in self.pairs:
            last = float("inf") if pair is keep else max(pair.answered_at, pair.heard_at)
            used[pair.remote.address] = max(used[pair.remote.address], last)
        address = min(used, key=used.__getitem__)
        del self._remotes[address]
        return self._drop([key for key in self._pairs if key[1] == address])

    def _drop(self, keys: Iterable[tuple[Local, Address]]) -> list[Pair]:
        return [self._pairs.pop(key) for key in keys]
