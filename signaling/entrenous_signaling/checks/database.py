"""The database: reachable, and of this program's version."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import assert_never

from entrenous_signaling.clock_watch import AGREED_SECONDS
from entrenous_signaling.config import ConfigError, ServerConfig
from entrenous_signaling.store.condition import Condition, condition, indiscretions
from entrenous_signaling.store.database import StoreError, clock
from entrenous_signaling.store.place import databases_of

from .findings import Finding, error, ok, warning

_SUBJECT = "database"
_CLOCK_SUBJECT = "database clock"
_LOG_SUBJECT = "database log"


def check_database(config: ServerConfig) -> Finding:
    """Look at the database without changing anything in it.

    Args:
        config: a checked configuration.
    """
    try:
        found = condition(databases_of(config))
    except (ConfigError, StoreError) as problem:
        return error(_SUBJECT, str(problem), "See whether it runs, and whether this user may use it.")
    where = "PostgreSQL" if config.database else f"SQLite in {config.data}"
    match found:
        case Condition.ABSENT:
            return ok(_SUBJECT, f"{where}: nothing is there yet; it is made at the first start.")
        case Condition.CURRENT:
            return ok(_SUBJECT, f"{where}: it can be read, and is of this program's version.")
        case Condition.OLDER:
            return ok(
                _SUBJECT, f"{where}: it is of an older version, and brought to this one at the next start. Back it up."
            )
        case Condition.NEWER:
            return error(
                _SUBJECT,
                f"{where}: a newer version of this program wrote it.",
                "Update entrenous-signaling, or restore the backup from before the update.",
            )
        case _:
            assert_never(found)


def check_database_clock(config: ServerConfig, now: Callable[[], float]) -> Iterator[Finding]:
    """Look whether the database's clock, which servers that share it have in common, agrees with this machine's.

    Args:
        config: a checked configuration.
        now: tells Unix seconds.
    """
    if not config.database:
        return
    before = now()
    try:
        there = clock(databases_of(config))
    except (ConfigError, StoreError):
        return  # which `check_database` tells
    if there is None:
        return
    ahead = round(max(before - there, min(now() - there, 0.0)))
    if abs(ahead) > AGREED_SECONDS:
        yield error(
            _CLOCK_SUBJECT,
            f"This machine's clock is {abs(ahead)} seconds {'ahead of' if ahead > 0 else 'behind'} the database's: "
            f"servers that share it have to agree within {AGREED_SECONDS:.0f} seconds.",
            "Run chrony on both, then restart the server.",
        )
    else:
        yield ok(_CLOCK_SUBJECT, "The database's clock agrees with this machine's.")


def check_database_log(config: ServerConfig) -> Iterator[Finding]:
    """Look whether the database writes a log of its own that quotes what is stored.

    Args:
        config: a checked configuration.
    """
    if not config.database:
        return
    try:
        found = indiscretions(databases_of(config))
    except (ConfigError, StoreError):
        return  # which `check_database` tells
    if found:
        settings = ", ".join(name for name, _ in found)
        commands = " ".join(f"ALTER SYSTEM SET {name} = '{value}';" for name, value in found)
        yield warning(
            _LOG_SUBJECT,
            f"PostgreSQL's own log may quote names and messages, by its {settings}.",
            f"As its administrator: {commands} SELECT pg_reload_conf();",
        )
    else:
        yield ok(_LOG_SUBJECT, "PostgreSQL's own log quotes nothing that is stored.")
