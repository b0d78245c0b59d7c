"""A connection has an owner once somebody is logged in on it, and not before."""

from __future__ import annotations

import pytest

from entrenous_signaling.connection import Connection, Stage
from entrenous_signaling.limits import Rate, TokenBucket


def test_a_connection_without_a_login_has_no_owner() -> None:
    here = Connection(1, b"n" * 32, b"n" * 32, TokenBucket(Rate(per_second=1.0, burst=1.0), 0.0))
    assert here.stage is Stage.GREETED
    with pytest.raises(RuntimeError, match="nobody"):
        here.owner()
