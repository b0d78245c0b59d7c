"""Requests to the server and their answers, matched by number and limited in time.

A request is asked again after a new login or resume, and after a refusal for now: all of them may be repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, assert_never

from entrenous_wire.messages import Deleted, Devices, FetchDevices, Publish, Published, Turn, TurnRequest

from .session_outputs import Answer


@dataclass(frozen=True, slots=True)
class Deletion:
    """The wish to delete the account; it is signed anew for each connection on which it is said.

    Args:
        request: its number.
        sign: signs bytes with the identity key.
    """

    request: int
    sign: Callable[[bytes], bytes] = field(repr=False)


Request = FetchDevices | Publish | TurnRequest | Deletion

MAX_REQUESTS: Final = 64
"""Requests that may wait for an answer at a time."""


@dataclass(slots=True)
class _Asked:
    request: Request
    expires: float
    said: bool = False
    not_before: float = 0.0


class Requests:
    """The requests without an answer yet.

    Args:
        seconds: how long an answer may take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._asked: dict[int, _Asked] = {}
        self._last = 0

    def new_number(self) -> int:
        """A number that no request has had."""
        self._last += 1
        return self._last

    def ask(self, request: Request, now: float) -> bool:
        """Wait for the answer to `request`; False when too many wait already."""
        if len(self._asked) >= MAX_REQUESTS:
            return False
        self._asked[request.request] = _Asked(request, now + self._seconds)
        return True

    def settle(self, number: int) -> Request | None:
        """The request that is refused by this, forgotten from now on; None when nobody asked."""
        asked = self._asked.pop(number, None)
        return None if asked is None else asked.request

    def settle_by(self, answer: Answer) -> bool:
        """Forget the request that this answers; False when nobody asked, or for something else."""
        asked = self._asked.get(answer.request)
        if asked is None or not isinstance(answer, _answer_to(asked.request)):
            return False
        del self._asked[answer.request]
        return True

    def refuse(self, number: int, until: float) -> bool:
        """Ask again at `until`; False when nobody asked, or when that is too late."""
        asked = self._asked.get(number)
        if asked is None or until >= asked.expires:
            return False
        asked.said = False
        asked.not_before = until
        return True

    def rewind(self) -> None:
        """Count everything as unsaid: the connection is a new one."""
        for asked in self._asked.values():
            asked.said = False
            asked.not_before = 0.0

    def take_sayable(self, now: float) -> list[Request]:
        """What may be asked now and is not yet; it counts as asked from here on."""
        sayable = []
        for asked in self._asked.values():
            if not asked.said and asked.not_before <= now:
                asked.said = True
                sayable.append(asked.request)
        return sayable

    def take_expired(self, now: float) -> list[int]:
        """Forget the requests that were not answered in time, and return their numbers."""
        expired = [number for number, asked in self._asked.items() if asked.expires <= now]
        for number in expired:
            del self._asked[number]
        return expired

    def next_deadline(self, *, may_ask: bool) -> float | None:
        """When a request expires or, with `may_ask`, may be asked again; None when none waits."""
        times = [asked.expires for asked in self._asked.values()]
        if may_ask:
            times += [asked.not_before for asked in self._asked.values() if not asked.said]
        return min(times, default=None)


def _answer_to(request: Request) -> type[Answer]:
    match request:
        case FetchDevices():
            return Devices
        case Publish():
            return Published
        case TurnRequest():
            return Turn
        case Deletion():
            return Deleted
        case _:
            assert_never(request)
