"""Every table and column that the server has, and so everything that it keeps.

accounts (the file accounts.sqlite3, or a schema in PostgreSQL), which says who can be called::

    account          username · identity_key · active_week         the week of the last login, and no finer time
    device           username · device · certificate · not_after
    prekey           username · device · position · prekey
    message          number · username · device · id · sender_tag · body · expires
                     of a sealed message that waits for this device; it goes when it was delivered. No sender (the tag
                     counts one without naming it), no call, no time (it expires at the end of some day)
    invite           hash                                          of a code that was not used yet
    alembic_version  version_num                                   the version of these tables

usage (usage.sqlite3), which says that there were calls, and not whose::

    open_record      token · start · seen                          of a call that goes on; the token stands for its id,
                     and only with the server's own secret can it be told for which
    ended_call       hash · ended                                  of a token, for some minutes after the call has
                     ended (the time to five minutes, and no finer), so that an accept which is said again opens no
                     second record
    call_record      start · duration                              of a call that has ended
    alembic_version  version_num

Nothing else that nodes say to each other is written: it waits in memory, and its senders hold it until it is delivered.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

KEPT: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "accounts": {
        "account": ("username", "identity_key", "active_week"),
        "device": ("username", "device", "certificate", "not_after"),
        "prekey": ("username", "device", "position", "prekey"),
        "message": ("number", "username", "device", "id", "sender_tag", "body", "expires"),
        "invite": ("hash",),
        "alembic_version": ("version_num",),
    },
    "usage": {
        "open_record": ("token", "start", "seen"),
        "ended_call": ("hash", "ended"),
        "call_record": ("start", "duration"),
        "alembic_version": ("version_num",),
    },
}
"""Tables and columns by part: the whole of it, which a test compares with what a started server has made."""

WIDE: Final = BigInteger().with_variant(Integer, "sqlite")
"""A whole number that holds Unix seconds beyond 2038; SQLite's are all as wide."""

ACCOUNTS: Final = MetaData()
USAGE: Final = MetaData()

account = Table(
    "account",
    ACCOUNTS,
    Column("username", String, primary_key=True),
    Column("identity_key", LargeBinary, nullable=False),
    Column("active_week", Integer),
)

device = Table(
    "device",
    ACCOUNTS,
    Column("username", String, ForeignKey("account.username", ondelete="CASCADE"), primary_key=True),
    Column("device", String, primary_key=True),
    Column("certificate", LargeBinary, nullable=False),
    Column("not_after", WIDE, nullable=False),
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

message = Table(
    "message",
    ACCOUNTS,
    # Never one twice, even of a message that is gone: a reader goes on after the last number it has seen.
    Column("number", WIDE, Identity(), primary_key=True),
    Column("username", String, nullable=False),
    Column("device", String, nullable=False),
    Column("id", LargeBinary, nullable=False),
    Column("sender_tag", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("expires", WIDE, nullable=False),
    UniqueConstraint("username", "device", "id", name="message_once"),
    ForeignKeyConstraint(["username", "device"], ["device.username", "device.device"], ondelete="CASCADE"),
    Index("message_expires", "expires"),
    sqlite_autoincrement=True,
)

invite = Table("invite", ACCOUNTS, Column("hash", LargeBinary, primary_key=True))

open_record = Table(
    "open_record",
    USAGE,
    Column("token", LargeBinary, primary_key=True),
    Column("start", WIDE, nullable=False),
    Column("seen", WIDE, nullable=False),
)

ended_call = Table(
    "ended_call",
    USAGE,
    Column("hash", LargeBinary, primary_key=True),
    Column("ended", WIDE, nullable=False),
)

# No key and no third column: two calls may well have the same start and the same duration.
call_record = Table(
    "call_record",
    USAGE,
    Column("start", WIDE, nullable=False),
    Column("duration", WIDE, nullable=False),
    Index("call_record_start", "start"),
)
