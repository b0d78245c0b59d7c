"""What the hub has to know before it starts."""

from __future__ import annotations

from dataclasses import dataclass, field

from entrenous_wire.limits import LOGIN_SECONDS, SESSION_GRACE_SECONDS
from entrenous_wire.messages import RegistrationPolicy

from .limits import Bounds
from .turn import Relay


@dataclass(frozen=True, slots=True)
class HubSettings:
    """What the hub has to know.

    Args:
        name: the public name of the server, the host of its addresses, as `canonical_host` writes it.
        registration: who may register.
        relay: the operator's relay, if there is one.
        bounds: how much a connection, an account and a queue may take.
        login_seconds: how long a connection may take to log in, and how long its nonce is good for.
        grace_seconds: how long a dropped session, and the ends of a call, are expected back.
    """

    name: str
    registration: RegistrationPolicy = RegistrationPolicy.OPEN
    relay: Relay | None = None
    bounds: Bounds = field(default_factory=Bounds)
    login_seconds: float = LOGIN_SECONDS
    grace_seconds: float = SESSION_GRACE_SECONDS
