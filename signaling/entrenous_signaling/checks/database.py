"""The database: reachable, and of this program's version."""

from __future__ import annotations

from typing import assert_never

from entrenous_signaling.config import ConfigError, ServerConfig
from entrenous_signaling.store.condition import Condition, condition
from entrenous_signaling.store.database import StoreError
from entrenous_signaling.store.place import databases_of

from .findings import Finding, error, ok

_SUBJECT = "database"


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
