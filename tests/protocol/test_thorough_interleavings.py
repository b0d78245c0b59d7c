"""No order of more events leaves a half-open call: takes minutes, and runs with ENTRENOUS_EXHAUSTIVE=1."""

from __future__ import annotations

import os
from concurrent.futures import Future

import pytest

from protocol.interleaving_play import THOROUGH_GLARE, THOROUGH_RESTARTS, assert_reconnected, assert_sound
from world.interleavings import Result

pytestmark = [
    pytest.mark.skipif("ENTRENOUS_EXHAUSTIVE" not in os.environ, reason="set ENTRENOUS_EXHAUSTIVE=1 to run it"),
    pytest.mark.timeout(300),
]


@pytest.mark.parametrize("name", THOROUGH_GLARE)
def test_no_order_of_more_events_leaves_a_half_open_call(explorations: dict[str, Future[Result]], name: str) -> None:
    assert_sound(explorations[name].result())


@pytest.mark.parametrize("name", THOROUGH_RESTARTS)
def test_a_call_always_comes_back_from_more_stalls(explorations: dict[str, Future[Result]], name: str) -> None:
    assert_reconnected(explorations[name].result())
