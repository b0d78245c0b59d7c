"""What a node shows of its addresses to whom, and when; the policies themselves are in `config`."""

from __future__ import annotations

from typing import assert_never

from .config import IcePolicy
from .protocol.inputs import EarlyLeg


def early_leg(policy: IcePolicy, *, is_contact: bool, lacks_relay: bool) -> EarlyLeg:
    """What may be prepared while it rings: a direct leg shows addresses, so only to contacts.

    Args:
        policy: of the node that is rung.
        is_contact: whether who rings is among its contacts.
        lacks_relay: whether it is known that there is no relay to hide behind.
    """
    match policy:
        case IcePolicy.DIRECT if is_contact:
            return EarlyLeg.DIRECT
        case IcePolicy.DIRECT | IcePolicy.RELAY_UNTIL_ACCEPT:
            return EarlyLeg.NONE if lacks_relay else EarlyLeg.RELAY
        case IcePolicy.RELAY_ONLY:
            return EarlyLeg.DIRECT  # as direct as such a node ever gets: nothing better follows after accept
        case _:
            assert_never(policy)
