"""The addresses of both ends and the pairs that they make, within bounds (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from .pairs import Local, Pair, Remote
from .stun import Address

MAX_REMOTES = 40
"""Addresses of the peer that are kept."""

MAX_PAIRS = 120
"""Pairs that are kept. Addresses of the peer that were of no use for the longest make room for new ones, of either end:
both move as often as they like."""


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

    def due(self, now: float, used: Pair | None) -> list[Pair]:
        """The pairs to check by `now`, the most promising first.

        What the peer has used or named last goes before what it had earlier: where it has moved often, there are more
        addresses that it has left than can be checked in the time that a call may be silent.

        Args:
            now: monotonic seconds.
            used: the pair in use.
        """
        due = [pair for pair in self.pairs if pair.local.is_up and pair.next_check <= now]
        if len(due) < 2:
            return due
        ages = self._ages()

        def urgency(pair: Pair) -> tuple[bool, bool, int, int, int, int]:
            age = ages[pair.remote.address]
            return not pair.triggered, pair is not used, pair.tries, age, -pair.rank, -pair.priority

        return sorted(due, key=urgency)

    def add_local(self, local: Local, now: float, keep: Pair | None) -> tuple[bool, list[Pair]]:
        """Pair an address of ours with all of the peer's; arguments and result as those of `add_remote`."""
        self._locals.append(local)
        dropped = self._make_room(keep)
        return sum(self._pair(local, remote, now) for remote in self._remotes.values()) > 0, dropped

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
            known.kind, known.priority, known.named_at = remote.kind, remote.priority, now
            return False, []
        remote.named_at = now
        self._remotes[remote.address] = remote
        dropped = self._make_room(keep)
        return sum(self._pair(local, remote, now) for local in self._locals) > 0, dropped

    def _pair(self, local: Local, remote: Remote, now: float) -> bool:
        if local.is_ipv6 != remote.address.is_ipv6:
            return False
        self._pairs[local, remote.address] = Pair(local, remote, now)
        return True

    def _make_room(self, keep: Pair | None) -> list[Pair]:
        dropped: list[Pair] = []
        while len(self._remotes) > MAX_REMOTES or (len(self._remotes) > 1 and self._size() > MAX_PAIRS):
            used = self._last_use()
            if keep is not None:
                used[keep.remote.address] = float("inf")
            address = min(used, key=used.__getitem__)
            del self._remotes[address]
            dropped += self._drop([key for key in self._pairs if key[1] == address])
        return dropped

    def _size(self) -> int:
        """How many pairs all addresses make."""
        ours, theirs = (
            Counter(kinds)
            for kinds in (
                (local.is_ipv6 for local in self._locals),
                (address.is_ipv6 for address in self._remotes),
            )
        )
        return sum(ours[kind] * theirs[kind] for kind in ours)

    def _last_use(self) -> dict[Address, float]:
        """When each address of the peer was last named, or of use."""
        used = {remote.address: remote.named_at for remote in self._remotes.values()}
        for pair in self.pairs:
            address = pair.remote.address
            used[address] = max(used[address], pair.answered_at, pair.heard_at)
        return used

    def _ages(self) -> dict[Address, int]:
        """How many addresses of the same kind the peer has used or named after each of them."""
        used, ages = self._last_use(), {}
        later: Counter[tuple[str, bool]] = Counter()
        for address in sorted(used, key=used.__getitem__, reverse=True):
            kind = self._remotes[address].kind, address.is_ipv6
            ages[address] = later[kind]
            later[kind] += 1
        return ages

    def _drop(self, keys: Iterable[tuple[Local, Address]]) -> list[Pair]:
        return [self._pairs.pop(key) for key in keys]
