"""The explorations that take long: begun with the first test of the protocol, asked for by the last."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor

import pytest

from protocol.interleaving_play import THOROUGH_GLARE, THOROUGH_RESTARTS, run_thoroughly
from world.interleavings import Result

_NICENESS = 19
"""All other tests go first."""


@pytest.fixture(scope="session", autouse=True)
def explorations(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Result]]]:
    """What each of the larger explorations finds, on the processors that other tests leave free.

    They are begun only where somebody will ask, and what is not begun when all tests are over never is.
    """
    asked = any(item.path.stem == "test_thorough_interleavings" for item in request.session.items)
    if not asked or "ENTRENOUS_EXHAUSTIVE" not in os.environ:
        yield {}
        return
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(os.cpu_count(), spawn, initializer=os.nice, initargs=(_NICENESS,))
    found = {name: pool.submit(run_thoroughly, name) for name in THOROUGH_GLARE | THOROUGH_RESTARTS}
    pool.shutdown(wait=False)  # each process ends with the last of its work
    yield found
    for future in found.values():
        future.cancel()
