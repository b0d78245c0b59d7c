"""The database: reachable, and of this program's version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from entrenous_signaling.config import ConfigError, ServerConfig
from entrenous_signaling.store.condition import Condition, condition, indiscretions
from entrenous_signaling.store.database import StoreError
from entrenous_signaling.store.place import databases_of

from .findings import Finding, error, ok, warning

_SUBJECT = "database"
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
