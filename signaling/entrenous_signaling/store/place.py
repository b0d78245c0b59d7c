"""Where the databases of a configuration are, and that they are there."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from entrenous_signaling.config import ServerConfig

from .condition import Condition, condition
from .database import Databases, StoreError


def databases_of(config: ServerConfig) -> Databases:
    """The databases that a server with this configuration uses.

    Raises:
        ConfigError: the file with the password cannot be used.
    """
    return Databases(Path(config.data), config.database, config.database_password())


def existing_databases(config: ServerConfig) -> Databases:
    """The same, for a command that shall neither make databases nor change their version beside a running server.

    Raises:
        ConfigError: the file with the password cannot be used.
        StoreError: there are none, they are of another version, or cannot be read.
    """
    databases = databases_of(config)
    where = "the database" if config.database else config.data
    match condition(databases):
        case Condition.CURRENT:
            return databases
        case Condition.ABSENT:
            raise StoreError(f"There are no accounts in {where}: name the server's --config or --data.")
        case Condition.OLDER:
            raise StoreError(f"An older version of this program wrote {where}: start the server, which updates it.")
        case Condition.NEWER:
            raise StoreError(f"A newer version of this program wrote {where}: update entrenous-signaling.")
        case other:
            assert_never(other)
