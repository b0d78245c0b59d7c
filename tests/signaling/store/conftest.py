"""Every kind of database in turn."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrenous_signaling.store.database import Databases
from lab.postgres import Cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    """Where a store may begin: an empty directory, or an empty database in a real PostgreSQL."""
    if request.param == "sqlite":
        return Databases(tmp_path)
    cluster: Cluster = request.getfixturevalue("cluster")
    return Databases(tmp_path, cluster.url(cluster.empty()))
