"""Cases side by side: all at once, each with its own outcome."""

from __future__ import annotations

import asyncio

import pytest

from lab.side_by_side import SideBySide


def test_all_run_at_once_and_one_that_fails_fails_alone() -> None:
    all_there = asyncio.Barrier(3)

    async def examine(case: int) -> int:
        async with asyncio.timeout(60):
            await all_there.wait()
        assert case != 2, "the second one"
        return 10 * case

    cases = SideBySide((1, 2, 3), examine)
    assert (cases.of(1), cases.of(3)) == (10, 30)
    with pytest.raises(AssertionError, match="the second one"):
        cases.of(2)
