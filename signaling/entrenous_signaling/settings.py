"""What the hub has to know before it starts."""

from __future__ import annotations

from dataclasses import dataclass, field

from entrenous_wire.limits import LOGIN_SECONDS, SESSION_GRACE_SECONDS
from entrenous_wire.messages import RegistrationPolicy

from .limits import Bounds
from .retention import MessageSettings, Retention
from .turn import Relay


@dataclass(frozen=True, slots=True)
class HubSettings:
    """What the hub has to know.

    Args:
        name: the public name of the server, the host of its addresses, as `canonical_host` writes it.
        message_key: the server's own secret, by which senders of stored messages are counted, and call records opened,
            without naming them; all nodes that share a database have the same.
        registration: who may register.
        relay: the operator's relay, if there is one.
        bounds: how much a connection, an account and a queue may take.
        messages: how much is stored for devices that are offline, and how long.
        retention: how long records and unused accounts are kept.
        login_seconds: how long a connection may take to log in, and how long its nonce is good for.
        grace_seconds: how long a dropped session, and the ends of a call, are expected back.
        node: names this start of this server among the nodes of a cluster: random, NODE_BYTES long. None: it is alone.
    """

    name: str
    message_key: bytes = field(repr=False)
    registration: RegistrationPolicy = RegistrationPolicy.OPEN
    relay: Relay | None = None
    bounds: Bounds = field(default_factory=Bounds)
    messages: MessageSettings = field(default_factory=MessageSettings)
    retention: Retention = field(default_factory=Retention)
    login_seconds: float = LOGIN_SECONDS
    grace_seconds: float = SESSION_GRACE_SECONDS
    node: bytes | None = None
