"""Steps from any version to this one."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Connection

from entrenous_signaling.store import upgrading
from entrenous_signaling.store.backend import Part
from entrenous_signaling.store.database import Databases, migrate, opened
from entrenous_signaling.store.revisions import REVISIONS, revision
from lab.postgres import Cluster


@pytest.mark.parametrize(("part", "version"), [(part, version) for part in Part for version in REVISIONS[part]])
def test_every_version_is_brought_to_this_one(part: Part, version: str, databases: Databases) -> None:
    backend = databases.backend()
    with opened(backend, part, writes=True) as connection, backend.migration(part, connection):
        config = upgrading.migrations(part)
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        connection.commit()
        assert revision(connection) == version
        connection.rollback()
    migrate(databases)
    with opened(backend, part, writes=False) as connection:
        assert revision(connection) == REVISIONS[part][-1]
        assert backend.is_settled(part, connection)


def test_of_processes_that_start_together_one_takes_the_steps(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    databases = Databases(tmp_path, cluster.url(cluster.empty()))
    taken: list[Part] = []
    upgrade = upgrading.upgrade

    def take(part: Part, connection: Connection) -> None:
        taken.append(part)
        upgrade(part, connection)

    monkeypatch.setattr(upgrading, "upgrade", take)
    starts = [threading.Thread(target=migrate, args=(databases,)) for _ in range(4)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert sorted(part.value for part in taken) == ["accounts", "usage"]
    migrate(databases)
    assert len(taken) == 2


@pytest.mark.parametrize("part", list(Part))
def test_what_was_interrupted_around_the_steps_is_done_the_next_time(part: Part, databases: Databases) -> None:
    migrate(databases)
    backend = databases.backend()
    with opened(backend, part, writes=True) as connection:
        if databases.url:
            table = {Part.ACCOUNTS: "invite", Part.USAGE: "ended_call"}[part]
            connection.exec_driver_sql(f"ALTER TABLE {table} ALTER COLUMN hash SET STATISTICS -1")
            connection.commit()
        else:
            driver = connection.connection.driver_connection
            assert driver is not None
            connection.rollback()
            driver.execute("PRAGMA auto_vacuum=0")
            driver.execute("VACUUM")
        assert not backend.is_settled(part, connection)
    migrate(databases)
    with opened(backend, part, writes=False) as connection:
        assert backend.is_settled(part, connection)
