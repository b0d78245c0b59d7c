"""Every kind of database in turn, and one that waits as long as it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrenous_signaling.store.database import Databases
from lab.postgres import Cluster
from world.storeworld import WAIT_SECONDS


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    """Where a store may begin: an empty directory, or an empty database in a real PostgreSQL."""
    if request.param == "sqlite":
        return Databases(tmp_path)
    cluster: Cluster = request.getfixturevalue("cluster")
    return Databases(tmp_path, cluster.url(cluster.empty()))


@pytest.fixture
def shared(tmp_path: Path, cluster: Cluster) -> Databases:
    """An empty database in a real PostgreSQL, that several servers may share."""
    return Databases(tmp_path, cluster.url(cluster.empty()))


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Statements and transactions that wait as long as a test may take, however slow the machine is."""
    postgresql = pytest.importorskip("entrenous_signaling.store.postgresql")
    for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
        monkeypatch.setitem(postgresql._SETTINGS, name, f"{WAIT_SECONDS:.0f}s")
    monkeypatch.setattr(postgresql._Connection, "patience", None)
