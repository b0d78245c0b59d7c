"""What state a database is in, seen without changing anything: what the operator's `check` tells."""

from __future__ import annotations

from enum import Enum

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import SQLAlchemyError

from .backend import Backend, Part, StoreError, explain
from .database import Databases, migrations


class Condition(Enum):
    """How a database stands to this program."""

    ABSENT = "absent"
    """It is made at the first start."""
    CURRENT = "current"
    OLDER = "older"
    """It is brought to this program's version at the next start."""
    NEWER = "newer"
    """A newer version of this program wrote it; this one does not start with it."""


def condition(databases: Databases) -> Condition:
    """Look at both halves; the worse of the two counts.

    Raises:
        StoreError: one cannot be reached or read.
    """
    backend = databases.backend()
    found = {_condition(backend, part) for part in Part}
    for worst in (Condition.NEWER, Condition.OLDER, Condition.CURRENT):
        if worst in found:
            return worst
    return Condition.ABSENT


def _condition(backend: Backend, part: Part) -> Condition:
    if not backend.exists(part):
        return Condition.ABSENT
    engine = backend.engine(part, writes=False)
    try:
        with engine.connect() as connection:
            revision = MigrationContext.configure(connection).get_current_revision()
    except SQLAlchemyError as error:
        raise StoreError(f"{backend.name(part)} cannot be read: {explain(error)}") from None
    finally:
        engine.dispose()
    known = [script.revision for script in ScriptDirectory.from_config(migrations(part)).walk_revisions()]
    if revision is None:
        return Condition.ABSENT
    if revision not in known:
        return Condition.NEWER
    return Condition.CURRENT if revision == known[0] else Condition.OLDER
