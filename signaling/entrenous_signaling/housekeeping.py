"""What goes by itself: messages that nobody fetched, call records that are old enough, accounts that nobody uses.

Everything that is over is deleted at the start and every hour. Of an account the week of its last use is noted, when
one of its devices comes or while one stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from .accounts import AccountLimits
from .outputs import Outbox
from .retention import Retention
from .store.requests import WEEK_SECONDS, Expire, Failed, MarkActive, StoreResult

EXPIRE_SECONDS: Final = 3600.0
"""How often what is over is deleted."""

AGAIN_SECONDS: Final = 60.0
"""When it is tried again after a failure."""

_DAY_SECONDS: Final = 86_400
_NOTED_AT_ONCE: Final = 256
"""Accounts whose week is noted in one go: in a new week it is that of everybody who has stayed."""

_NEXT_NOTES_SECONDS: Final = 1.0


class Housekeeping:
    """Asks the store to delete what is over, and to note who is there.

    Args:
        retention: how long things are kept.
        outbox: where store requests go.
        now: Unix seconds; the first round is due at once.
    """

    def __init__(self, retention: Retention, outbox: Outbox, now: float) -> None:
        self._retention = retention
        self._outbox = outbox
        self._due: float | None = now

    def next_deadline(self) -> float | None:
        """When `tick` has something to do; None while the store is at it."""
        return self._due

    def tick(self, now: float, present: Iterable[AccountLimits]) -> None:
        """Do what is due.

        Args:
            now: Unix seconds.
            present: the accounts that have a device here.
        """
        if self._due is None or now < self._due:
            return
        week = int(now) // WEEK_SECONDS
        to_note = list(islice((account for account in present if account.active_week != week), _NOTED_AT_ONCE))
        for account in to_note:
            self.note(account, now)
        if len(to_note) == _NOTED_AT_ONCE:
            self._due = now + _NEXT_NOTES_SECONDS
            return
        self._due = None

        def expired(result: StoreResult | Failed, now: float) -> None:
            self._due = now + (AGAIN_SECONDS if isinstance(result, Failed) else EXPIRE_SECONDS)

        request = Expire(
            now=int(now),
            records_before=int(now) - self._retention.call_records_days * _DAY_SECONDS,
            inactive_before_week=self._inactive_before_week(now),
        )
        self._outbox.execute(request, expired)

    def note(self, account: AccountLimits, now: float) -> None:
        """A device of an account is here: have the week noted, unless it was."""
        week = int(now) // WEEK_SECONDS
        if account.active_week == week:
            return
        account.active_week = week

        def noted(result: StoreResult | Failed, now: float) -> None:
            if isinstance(result, Failed):
                account.active_week = None  # the next round notes it

        self._outbox.execute(MarkActive(account.username, week), noted)

    def _inactive_before_week(self, now: float) -> int:
        """Accounts of an earlier week were not used for so long, on whichever day of it they were."""
        days = self._retention.inactive_accounts_days
        return (int(now) - days * _DAY_SECONDS) // WEEK_SECONDS if days else 0
