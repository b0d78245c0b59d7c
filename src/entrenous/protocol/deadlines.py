"""Named deadlines over a given `now`, and every duration of the protocol in one place."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Generic, TypeVar

from entrenous_wire import limits

Name = TypeVar("Name", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each wait may take, in seconds.

    Raises:
        ValueError: a duration is not a positive number.
    """

    ring: float = 60.0
    """From dialling, or from the ring's arrival, until nobody answered; also how long a ring is fresh."""
    answer: float = 30.0
    """For opening microphone and camera after the user accepted."""
    connect: float = 30.0
    """From accept until media can flow."""
    reconnect: float = 35.0
    """From the first stall until the call is given up as lost: half a minute without any network, and the way back."""
    attempt: float = 10.0
    """For one leg of an answered call to become secured before the next generation is tried."""
    retry: float = 1.0
    """Pause after a failed leg, so that a leg that fails at once does not become a storm of legs."""
    offline: float = 3.0
    """How long an accepted call waits for a network where there is none: between two there is none for a moment."""
    old_leg: float = 2.0
    """How long the previous leg stays open once the other end is heard on the new one: for what is on its way.

    An end that is not heard there may not have secured the new leg yet; it gets `attempt` for that.
    """
    tombstone: float = 180.0
    """How long an ended call's id is remembered: longer than any ring for it can stay fresh."""

    open_transport: float = 10.0
    """For DNS, TCP, TLS and the WebSocket upgrade to the signaling server."""
    login: float = limits.LOGIN_SECONDS
    """From the open transport to `welcome`."""
    request: float = 10.0
    """For the answer to a request, reconnecting included."""
    hold: float = 120.0
    """How long an undelivered message is kept and said again."""
    backoff: float = 0.5
    """The longest that the first pause before reconnecting may be; it doubles with each failure."""
    backoff_limit: float = 30.0
    """The longest pause before reconnecting that we choose ourselves."""
    restart: float = 3.0
    """Over how long at least those come back, by lot, whom a server has sent away or asked to come again later."""
    retry_limit: float = 300.0
    """The longest pause that a server may ask for: however it errs, a node comes back without being restarted."""
    stable: float = 10.0
    """How long a session must stand before the backoff starts afresh."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise ValueError(f"The timeout {field.name!r} must be a positive number of seconds.")


@dataclass(frozen=True)
class Deadlines(Generic[Name]):
    """Points in time by name: an immutable value, at most one deadline a name."""

    pending: tuple[tuple[float, Name], ...] = ()

    def set(self, name: Name, at: float) -> Deadlines[Name]:
        """With `name` due at `at` (seconds on the caller's clock), replacing an earlier setting of it."""
        others = (item for item in self.pending if item[1] != name)
        return Deadlines(tuple(sorted((*others, (at, name)))))

    def cancel(self, *names: Name) -> Deadlines[Name]:
        """Without `names`; a name that is not set is fine."""
        if not any(item[1] in names for item in self.pending):
            return self
        return Deadlines(tuple(item for item in self.pending if item[1] not in names))

    def at(self, name: Name) -> float | None:
        """When `name` is due, or None."""
        return next((at for at, other in self.pending if other == name), None)

    def next(self) -> float | None:
        """The earliest deadline, or None."""
        return self.pending[0][0] if self.pending else None

    def first_due(self, now: float) -> Name | None:
        """The earliest name whose time has come, or None."""
        return self.pending[0][1] if self.pending and self.pending[0][0] <= now else None
