"""Cases side by side: all at once, each with its own outcome."""

from __future__ import annotations

import asyncio

import pytest

from lab.side_by_side import SideBySide


def test_all_run_at_once_and_one_that_fails_fails_alone() -> None:
    begun: list[int] = []

    async def examine(case: int) -> int:
        begun.append(case)
        async with asyncio.timeout(60):
            while len(begun) < 3:
                await asyncio.sleep(0)
        assert case != 2, "the second one"
        return 10 * case

    cases = SideBySide((1, 2, 3), examine)
    assert (cases.of(1), cases.of(3)) == (10, 30)
    with pytest.raises(AssertionError, match="the second one"):
        cases.of(2)
