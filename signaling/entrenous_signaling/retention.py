"""How long things are kept: the `[retention]` and `[messages]` tables of the configuration file."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from .limits import MessageBounds

RecordDays = Annotated[int, Meta(ge=1, le=3650)]
InactiveDays = Annotated[int, Meta(ge=0, le=3650)]
MessageDays = Annotated[int, Meta(ge=1, le=90)]

LEAST_INACTIVE_DAYS: Final = 28
"""Of an account the week of its last use is known and nothing finer: with fewer days holidays would end accounts."""


class Retention(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long what is on disk stays there; what is over is removed at the start and every hour.

    Args:
        call_records_days: how long the start and the duration of a call are kept.
        inactive_accounts_days: after how many days without a login an account is removed, with its devices, prekeys
            and stored messages; its name is free then. 0: never.
    """

    call_records_days: RecordDays = 90
    inactive_accounts_days: InactiveDays = 365

    def check(self) -> None:
        """Check what the types cannot.

        Raises:
            ValueError: a sentence that names the key and says what to do.
        """
        if 0 < self.inactive_accounts_days < LEAST_INACTIVE_DAYS:
            raise ValueError(
                f"retention.inactive_accounts_days must be at least {LEAST_INACTIVE_DAYS}, or 0 to keep every account: "
                "of an account only the week of its last login is known."
            )


class MessageSettings(MessageBounds, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is stored for devices that are offline: how much (`MessageBounds`) and how long.

    Args:
        days: how long a message is stored that nobody fetches, to the end of that day (UTC); one that is fetched is
            deleted at once.
    """

    days: MessageDays = 30
