"""Time-limited relay credentials that name nobody, as coturn's `use-auth-secret` checks them.

Source: "A REST API For Access To TURN Services" (draft-uberti-behave-turn-rest-00), as implemented by coturn::

    username   expiry ":" random        expiry in Unix seconds
    password   base64(HMAC-SHA1(secret, username))
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

TTL_SECONDS: Final = 600
"""How long credentials are good for; a call refreshes them before."""

_RANDOM_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class Relay:
    """The operator's relay.

    Args:
        urls: `turn:` and `turns:` URLs (RFC 7065).
        secret: the one of coturn's `static-auth-secret`s to mint with.
    """

    urls: tuple[str, ...]
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class RelayCredentials:
    """Username and password for a TURN allocation."""

    username: str
    password: str


def mint(relay: Relay, now: float, draw: Callable[[int], bytes]) -> RelayCredentials:
    """Make credentials that are good for TTL_SECONDS and are not linked to an account or to each other.

    So the relay's `user-quota`, which counts by what stands behind the colon, bounds the allocations of one call; how
    many sets an account gets is bounded by `Bounds.relay_rate`. What was allocated in time is kept by refreshing it.

    Args:
        relay: the operator's relay.
        now: Unix seconds.
        draw: returns so many random bytes.
    """
    username = f"{int(now) + TTL_SECONDS}:{draw(_RANDOM_BYTES).hex()}"
    digest = hmac.new(relay.secret, username.encode(), hashlib.sha1).digest()
    return RelayCredentials(username, base64.b64encode(digest).decode())
