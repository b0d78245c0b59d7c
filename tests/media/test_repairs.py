"""Small frames are sent twice where asking again takes long."""

from __future__ import annotations

import pytest

from entrenous.media.repairs import is_worth_doubling


@pytest.mark.parametrize(
    ("packets", "loss", "round_trip", "doubled"),
    [
        (1, 0.05, 0.2, True),
        (2, 0.03, 0.1, True),
        (3, 0.05, 0.2, False),
        (1, 0.02, 0.2, False),
        (1, 0.05, 0.05, False),
        (1, 0.05, None, False),
    ],
)
def test_where_it_is_worth_it(packets: int, loss: float, round_trip: float | None, doubled: bool) -> None:
    assert is_worth_doubling(packets, loss, round_trip) is doubled
