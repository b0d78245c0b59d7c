"""Every table and column that the server has, and so everything that it keeps.

accounts.sqlite3, which says who can be called::

    account          username · identity_key
    device           username · device · certificate · not_after
    prekey           username · device · position · prekey
    invite           hash                                          of a code that was not used yet
    alembic_version  version_num                                   the version of these tables

usage.sqlite3, which says that there were calls, and not whose::

    open_record      token · start · seen                          of a call that goes on; the token is random
    call_record      start · duration                              of a call that has ended
    alembic_version  version_num

Messages are never written: they wait in memory, and their senders hold them until they are delivered.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Integer, LargeBinary, MetaData, String, Table

KEPT: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "accounts": {
        "account": ("username", "identity_key"),
        "device": ("username", "device", "certificate", "not_after"),
        "prekey": ("username", "device", "position", "prekey"),
        "invite": ("hash",),
        "alembic_version": ("version_num",),
    },
    "usage": {
        "open_record": ("token", "start", "seen"),
        "call_record": ("start", "duration"),
        "alembic_version": ("version_num",),
    },
}
"""Tables and columns by database: the whole of it, which a test compares with what a started server has made."""

ACCOUNTS: Final = MetaData()
USAGE: Final = MetaData()

account = Table(
    "account",
    ACCOUNTS,
    Column("username", String, primary_key=True),
    Column("identity_key", LargeBinary, nullable=False),
)

device = Table(
    "device",
    ACCOUNTS,
    Column("username", String, ForeignKey("account.username", ondelete="CASCADE"), primary_key=True),
    Column("device", String, primary_key=True),
    Column("certificate", LargeBinary, nullable=False),
    Column("not_after", Integer, nullable=False),
)

prekey = Table(
    "prekey",
    ACCOUNTS,
    Column("username", String, primary_key=True),
    Column("device", String, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("prekey", LargeBinary, nullable=False),
    ForeignKeyConstraint(["username", "device"], ["device.username", "device.device"], ondelete="CASCADE"),
)

invite = Table("invite", ACCOUNTS, Column("hash", LargeBinary, primary_key=True))

open_record = Table(
    "open_record",
    USAGE,
    Column("token", LargeBinary, primary_key=True),
    Column("start", Integer, nullable=False),
    Column("seen", Integer, nullable=False),
)

# No key and no third column: two calls may well have the same start and the same duration.
call_record = Table(
    "call_record",
    USAGE,
    Column("start", Integer, nullable=False),
    Column("duration", Integer, nullable=False),
)
