"""What state a database is in, seen without changing anything: what the operator's `check` tells."""

from __future__ import annotations

from enum import Enum

from .backend import Backend, Part
from .database import Databases, opened
from .revisions import REVISIONS, revision


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
    with opened(backend, part, writes=False) as connection:
        current = revision(connection)
    if current is None:
        return Condition.ABSENT
    if current not in REVISIONS[part]:
        return Condition.NEWER
    return Condition.CURRENT if current == REVISIONS[part][-1] else Condition.OLDER


def indiscretions(databases: Databases) -> list[tuple[str, str]]:
    """Settings by which the log of the database itself would quote what is stored, each with a value that does not.

    Raises:
        StoreError: it cannot be reached.
    """
    backend = databases.backend()
    if not backend.exists(Part.ACCOUNTS):
        return []
    with opened(backend, Part.ACCOUNTS, writes=False) as connection:
        return backend.indiscretions(connection)
