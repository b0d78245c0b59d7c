"""A PostgreSQL of one's own, of which every file is looked at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.postgres import Cluster, find_programs, running_cluster


@pytest.fixture(scope="session")
def own_cluster() -> Iterator[Cluster]:
    """A running PostgreSQL that nobody else uses; the test is skipped where none is installed."""
    if find_programs() is None:
        pytest.skip("PostgreSQL or psycopg is not installed")
    with running_cluster() as started:
        yield started
