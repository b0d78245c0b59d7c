"""The version of a database is told without what changes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from entrenous_signaling.store.backend import Part
from entrenous_signaling.store.database import Databases, migrate, opened
from entrenous_signaling.store.revisions import REVISIONS, revision
from entrenous_signaling.store.upgrading import migrations


@pytest.mark.parametrize("part", list(Part))
def test_the_versions_are_those_of_the_migrations(part: Part) -> None:
    steps = ScriptDirectory.from_config(migrations(part)).walk_revisions()
    assert REVISIONS[part] == tuple(reversed([step.revision for step in steps]))


def test_a_database_tells_its_version(databases: Databases) -> None:
    backend = databases.backend()
    with opened(backend, Part.USAGE, writes=True) as connection:
        assert revision(connection) is None
    migrate(databases)
    for part in Part:
        with opened(backend, part, writes=False) as connection:
            assert revision(connection) == REVISIONS[part][-1]


def test_a_database_of_this_version_is_used_without_alembic(tmp_path: Path) -> None:
    databases = Databases(tmp_path)
    migrate(databases)
    script = (
        "import sys; from pathlib import Path; from entrenous_signaling.store.database import Databases, migrate;"
        "from entrenous_signaling.store.condition import condition; import entrenous_signaling.app;"
        "databases = Databases(Path(sys.argv[1])); migrate(databases); print(condition(databases).value);"
        "print([name for name in ('alembic', 'mako', 'sqlalchemy.dialects.postgresql') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["current", "[]"]
