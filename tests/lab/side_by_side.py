"""Cases that mostly wait, run at the same time: what came of each is told, or raised, where it is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Generic, TypeVar

Case = TypeVar("Case")
T = TypeVar("T")


class SideBySide(Generic[Case, T]):
    """What came of each case.

    Args:
        cases: all of them; begun together and waited for.
        examine: what is done with each.
    """

    def __init__(self, cases: Iterable[Case], examine: Callable[[Case], Coroutine[Any, Any, T]]) -> None:
        self._cases = list(cases)
        self._examine = examine
        self._outcomes: dict[Case, T | BaseException] = asyncio.run(self._all())

    def of(self, case: Case) -> T:
        """What came of one; raises what it raised."""
        outcome = self._outcomes[case]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def _all(self) -> dict[Case, T | BaseException]:
        outcomes = await asyncio.gather(*map(self._examine, self._cases), return_exceptions=True)
        return dict(zip(self._cases, outcomes, strict=True))
