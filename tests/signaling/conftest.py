"""One PostgreSQL for all tests of the server that need one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from lab.postgres import Cluster, running_cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running PostgreSQL; the test is skipped where none is installed."""
    with running_cluster() as started:
        yield started


@pytest.fixture(autouse=True)
def own_umask() -> Iterator[None]:
    """Commands run in this process change which rights new files get, for all tests that come after."""
    mask = os.umask(0o022)
    os.umask(mask)
    yield
    os.umask(mask)
