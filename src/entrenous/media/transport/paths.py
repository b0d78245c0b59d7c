"""Which pair of addresses to use, and which to check now: the decisions of one end (pure, driven by `now`).

One rule covers connecting and all that may happen later: *checks never stop*. The first pair that is answered
carries; each end may send on any pair on which a check of its own was answered, so that nobody waits for a
round of nominations. The controlling end names its choice in every check of the pair that it uses, and the
controlled end follows.

*Doubt.* Silence where media flowed, media from elsewhere, a check that is not answered, a change of the network:
all pairs are checked at once and again, until the pair in use is answered, or it has failed to answer while
another did. Then the call moves, and comes back for a better rank only after some time, longer after each
failure. Media is never sent to an address that has not answered a check within the lifetime of its consent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .pairs import LEG_LIFETIME, Local, Pair, Remote
from .schedule import DOUBT_INTERVAL, STRONG_DOUBT, UPGRADE_STREAK, WEAK_DOUBT, Schedule
from .stun import Address
from .table import PairTable

QUIET = 0.2
"""Seconds without media, where it flowed, that raise doubt."""

_FLOW = 5
"""Packets in close succession that make a flow, whose silence means something."""

_DOUBT_AFTER = 2
"""Packets in a row from an address that has not answered yet, after which it is asked whether the peer has moved."""

_FRESH = 12.0
"""Seconds for which an answer makes a pair good to move to when the one in use is known to be dead."""

_SETTLED = 0.3
"""Seconds after a move, beside two round trips, in which packets from the pair before are taken for late ones."""

_HALF_OPEN = 3
"""How many times as patient one is while checks of the peer arrive: then there is a way, at least in one direction."""

_TICK = 0.02


class Check(NamedTuple):
    """A check to send now.

    Args:
        pair: where.
        nomination: the number of the choice that it names, None when it names none.
    """

    pair: Pair
    nomination: int | None


class Paths:
    """The pairs of one leg.

    Args:
        controlling: whether this end chooses.
        hold: seconds from the start for which a direct pair is waited for although a relayed one works.
        seed: anything in 0..1; spreads the regular checks of many legs.
    """

    def __init__(self, *, controlling: bool, hold: float, seed: float = 0.0) -> None:
        self.controlling = controlling
        self.selected: Pair | None = None
        """The pair in use; whether it may be sent to now, `Pair.may_send` says."""
        self.alarms = 0
        """How often media stopped or came from elsewhere: the world may see us at another address than before."""
        self._hold = hold
        self._hold_until = 0.0
        self._schedule = Schedule(seed)
        self._table = PairTable()
        self._started_at: float | None = None
        self._news_at = 0.0
        self._heard_check_at = float("-inf")
        self._complete = False
        self._doubt_since: float | None = None
        self._doubt_needs = STRONG_DOUBT
        self._heard_at = float("-inf")
        self._flow = 0
        self._elsewhere = 0
        self._elsewhere_pair: Pair | None = None
        self._tolerated: Pair | None = None
        self._moved_at = float("-inf")
        self._nomination = 0
        self._followed_nomination = 0
        self._wanted: Pair | None = None

    # What is known

    @property
    def pairs(self) -> Iterable[Pair]:
        """All pairs."""
        return self._table.pairs

    def knows(self, address: Address) -> bool:
        """Whether this is an address that the peer has named or sent an authentic check from."""
        return self._table.knows(address)

    def is_hopeless(self, now: float, patience: float) -> bool:
        """Whether all addresses of both ends are known and no pair of them has answered for `patience` seconds."""
        if self._started_at is None or not self._complete or any(pair.was_answered for pair in self.pairs):
            return False
        since = max(self._started_at, self._news_at, self._heard_check_at + (_HALF_OPEN - 1) * patience)
        return now >= since + patience

    def is_lost(self, now: float) -> bool:
        """Whether the peer has answered nowhere for the lifetime of a leg, after having been reached."""
        if self.selected is None:
            return False
        last = max((pair.answered_at for pair in self.pairs), default=float("-inf"))
        return now >= max(last, self.selected.answered_at) + LEG_LIFETIME

    def start(self, now: float) -> None:
        """Checks may go out: the peer's credentials are known."""
        if self._started_at is None:
            self._started_at = now
            self._hold_until = now + self._hold
            for pair in self.pairs:
                pair.next_check = now

    def complete(self, now: float, *, complete: bool = True) -> None:
        """Both ends have named all their addresses, or new ones are to come."""
        if complete and not self._complete:
            self._news_at = now
        self._complete = complete

    def peer_uninformed(self, now: float) -> None:
        """What we have said of ourselves is still on its way: the peer cannot check it yet."""
        self._news_at = now

    def add_local(self, local: Local, now: float) -> None:
        """A socket of ours is open."""
        made, dropped = self._table.add_local(local, now, keep=self.selected)
        self._forget(dropped)
        if made:
            self._news_at = now

    def drop_local(self, local: Local) -> None:
        """A socket of ours is closed for good."""
        self._forget(self._table.drop_local(local))

    def add_remote(self, remote: Remote, now: float) -> None:
        """The peer has named an address."""
        made, dropped = self._table.add_remote(remote, now, keep=self.selected)
        self._forget(dropped)
        if made:
            self._news_at = now

    def _forget(self, dropped: Iterable[Pair]) -> None:
        """These pairs are in the table no more."""
        for pair in dropped:
            pair.broken = True
            if pair is self._wanted:
                self._wanted = None
            if pair is self._tolerated:
                self._tolerated = None
            if pair is self._elsewhere_pair:
                self._elsewhere_pair = None

    def _meet(self, local: Local, remote: Remote, now: float) -> Pair | None:
        """The pair that a packet came by, made when the peer's address is new (RFC 8445 §7.3.1.3)."""
        if not self._table.knows(remote.address):
            self.add_remote(remote, now)
        return self._table.find(local, remote.address)

    def check_heard(
        self, local: Local, remote: Remote, now: float, *, nominated: bool = False, nomination: int | None = None
    ) -> None:
        """An authentic check of the peer arrived: ours goes out at once (RFC 8445 §7.3.1.4), and its wish is noted."""
        pair = self._meet(local, remote, now)
        if pair is None:
            return
        self._heard_check_at = now
        if now - pair.proven_by > DOUBT_INTERVAL and (not pair.outstanding or now - pair.outstanding[-1] > _TICK):
            pair.triggered = True
            pair.next_check = now
        if nominated and not self.controlling:
            if nomination is not None:
                if nomination < self._followed_nomination:
                    return
                self._followed_nomination = nomination
            self._wanted = pair

    def answered(self, pair: Pair, sent_at: float, now: float) -> None:
        """The peer has answered the check that was sent at `sent_at`."""
        pair.answered(sent_at, now)
        pair.next_check = now + self._interval(pair, now)

    def media_heard(self, local: Local, address: Address, now: float) -> bool:
        """A media packet arrived whose authenticity the owner has checked; whether it is time for `poll`."""
        pair = self._table.find(local, address) or self._meet(local, Remote(address, "prflx"), now)
        self._flow = min(self._flow + 1, _FLOW) if now - self._heard_at < QUIET else 1
        self._heard_at = now
        if pair is not None:
            pair.heard_at = now
        if pair is self.selected:
            self._elsewhere = 0
            self._tolerated = None
            return False
        if pair is None or self.selected is None or pair is self._tolerated or now < self._settled_at(self.selected):
            return False
        self._elsewhere += 1
        self._elsewhere_pair = pair
        self._follow(pair, now)
        return True

    def send_failed(self, pair: Pair) -> None:
        """The system refused to send on a pair."""
        pair.broken = True

    def network_changed(self, now: float) -> None:
        """Addresses or routes of this machine changed: nothing known before is certain."""
        for pair in self.pairs:
            pair.look_again(now)
        if self.selected is not None and self._doubt_since is None:
            self._doubt(now, WEAK_DOUBT)

    def poll(self, now: float) -> list[Check]:
        """Decide by what is known up to `now`; the checks to send."""
        if self._started_at is None:
            return []
        self._judge(now)
        checks = []
        for pair in self._table.due(now, self.selected):
            if not self._schedule.takes(pair, now):
                break
            pair.sent(now)
            pair.next_check = now + self._interval(pair, now)
            nominating = self.controlling and pair is self.selected
            checks.append(Check(pair, self._nomination if nominating else None))
        return checks

    def deadline(self, now: float) -> float:
        """When to call `poll` again, if nothing happens before."""
        if self._started_at is None:
            return now + 1.0
        due = min((pair.next_check for pair in self.pairs if pair.local.is_up), default=now + 1.0)
        due = max(due, self._schedule.next_slot)
        if self.selected is None or self._doubt_since is not None:
            return min(due, now + _TICK)
        if self.selected.outstanding:
            due = min(due, max(now + _TICK, self.selected.outstanding[0] + self.selected.patience))
        if self._flow >= _FLOW:
            due = min(due, max(now, self._silence_from() + QUIET))
        return min(due, now + 1.0)

    def _interval(self, pair: Pair, now: float) -> float:
        """Seconds from one check of a pair to the next."""
        selected = self.selected
        if selected is None:
            return self._schedule.connecting(pair)
        if self._doubt_since is not None:
            return self._schedule.in_doubt(pair, now - self._doubt_since, is_used=pair is selected)
        if pair is selected:
            return self._schedule.in_use(pair, self._moved_at)
        is_better = pair.rank > selected.rank and now >= pair.held_until
        return self._schedule.in_reserve(pair, is_better=is_better, is_warm=pair is self._warm())

    def _warm(self) -> Pair | None:
        """The pair to fall back to: of another socket and kind than the one in use, where there is one."""
        selected = self.selected
        others = [pair for pair in self.pairs if pair is not selected and pair.was_answered and pair.local.is_up]
        if selected is None or not others:
            return None
        return max(
            others,
            key=lambda pair: (pair.local is not selected.local, pair.is_direct != selected.is_direct, pair.rank),
        )

    def _judge(self, now: float) -> None:
        selected = self.selected
        if selected is None:
            self._choose_first(now)
            return
        wanted = self._wanted
        if wanted is not None and self._is_ready(wanted, now):
            self._wanted = None
            if wanted is not selected:
                self._move(wanted, now)
            return
        if not selected.may_send(now):
            self._replace_dead(selected, now)
        elif self._doubt_since is not None:
            self._settle_doubt(selected, self._doubt_since, now)
        elif self._is_silent(now):
            self._doubt(now, STRONG_DOUBT)
        elif selected.lost_since(self._moved_at, now):
            self._doubt(now, WEAK_DOUBT)
        elif self.controlling:
            self._upgrade(selected, now)

    def _choose_first(self, now: float) -> None:
        ready = [pair for pair in self.pairs if pair.may_send(now)]
        if not ready:
            return
        wanted = self._wanted
        best = wanted if wanted in ready and wanted is not None else self._best(ready)
        if best.is_direct or best is wanted or now >= self._hold_until or not self._direct_is_plausible():
            self._wanted = None
            self._move(best, now)

    def _direct_is_plausible(self) -> bool:
        awaited = not self._complete and self._table.has_hosts
        return awaited or any(pair.is_direct and not pair.broken for pair in self.pairs)

    def _is_ready(self, pair: Pair, now: float) -> bool:
        """Whether the pair that the controlling end wants has shown to us too that it works, since it last failed."""
        return pair.may_send(now) and pair.proven_by > pair.left_at and now - pair.answered_at < _FRESH

    def _replace_dead(self, selected: Pair, now: float) -> None:
        """The pair in use cannot be sent to: of what answered lately, where the peer was last."""
        fresh = [pair for pair in self.pairs if pair.may_send(now) and now - pair.answered_at < _FRESH]
        if fresh:
            selected.failed(now)
            self._move(max(fresh, key=lambda pair: (pair.rank, pair.proven_by)), now)
        if self._doubt_since is None:  # what has ended the one may have ended the other
            self._doubt(now, STRONG_DOUBT)

    def _settle_doubt(self, selected: Pair, since: float, now: float) -> None:
        if selected.proven_by >= since:
            self._trust(now)
            return
        hears = selected.heard_at >= max(since, now - QUIET)
        if selected.lost_since(since, now) < (WEAK_DOUBT if hears else self._doubt_needs):
            return
        proven = [pair for pair in self.pairs if pair.proven_by >= since and pair.may_send(now)]
        if proven:
            selected.failed(now)
            self._move(self._best(proven), now)

    def _upgrade(self, selected: Pair, now: float) -> None:
        better = [
            pair
            for pair in self.pairs
            if pair.rank > selected.rank
            and pair.streak >= UPGRADE_STREAK
            and pair.proven_by >= self._moved_at  # what made us move may have broken it as well
            and now >= pair.held_until
            and pair.may_send(now)
            and not pair.lost_since(pair.proven_by, now)
        ]
        if better:
            self._move(self._best(better), now)

    def _follow(self, pair: Pair, now: float) -> None:
        """The peer sends from elsewhere only: it has left, or its address has changed."""
        selected = self.selected
        if selected is not None and self._is_ready(pair, now):
            selected.failed(now)
            self._move(pair, now)
        elif self._doubt_since is None and self._elsewhere >= _DOUBT_AFTER:
            self._doubt(now, STRONG_DOUBT)

    def _settled_at(self, selected: Pair) -> float:
        """Until when packets from the pair before are taken for late ones: the peer has to follow a move first."""
        return self._moved_at + _SETTLED + 2 * (selected.rtt or 0.0)

    def _best(self, pairs: Iterable[Pair]) -> Pair:
        return max(pairs, key=lambda pair: (pair.rank, pair.heard_at, -(pair.rtt or 0.0)))

    def _move(self, pair: Pair, now: float) -> None:
        self.selected = pair
        self._moved_at = now
        self._nomination += 1
        self._doubt_since = None
        self._elsewhere = 0
        self._tolerated = None
        for each in self.pairs:
            each.next_check = max(now, min(each.next_check, now + self._interval(each, now)))
        if self.controlling:
            pair.next_check = now

    def _doubt(self, now: float, needs: int) -> None:
        self._doubt_since = now
        self._doubt_needs = needs
        self.alarms += needs == STRONG_DOUBT
        for pair in self.pairs:
            pair.look_again(now)

    def _trust(self, now: float) -> None:
        """The pair in use has answered: if the peer is silent, it is not for want of a path."""
        self._doubt_since = None
        self._tolerated = self._elsewhere_pair if self._elsewhere else None
        if now - self._silence_from() >= QUIET:
            self._flow = 0
        for pair in self.pairs:
            pair.next_check = now + self._interval(pair, now)

    def _is_silent(self, now: float) -> bool:
        return self._flow >= _FLOW and now - self._silence_from() >= QUIET

    def _silence_from(self) -> float:
        """What silence is counted from: after a move, the peer needs a round trip to follow."""
        rtt = self.selected.rtt if self.selected is not None else None
        return max(self._heard_at, self._moved_at + (rtt or 0.0))
