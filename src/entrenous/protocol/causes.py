"""Why a call failed, in one token that both ends understand, and at whose end that is so."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never


class Cause(StrEnum):
    """What did not work; the values travel in a sealed `end` and stand in the output for scripts."""

    SERVER_UNREACHABLE = "server-unreachable"
    """The signaling server does not answer."""
    SERVER_REFUSED = "server-refused"
    """The signaling server answered that it will not."""
    KEY_CHANGED = "key-changed"
    """The callee's identity key is not the pinned one."""
    KEYS_INVALID = "keys-invalid"
    """What the server gave as the callee's keys does not verify."""

    NO_NETWORK = "no-network"
    """The machine has no address to call from."""
    NO_RELAY = "no-relay"
    """Only relays may be used, and the operator runs none."""
    RELAY_UNREACHABLE = "relay-unreachable"
    """Only relays may be used, and none of them answers."""
    RELAY_REFUSED = "relay-refused"
    """Only relays may be used, and they do not take our credentials or have no room."""
    NO_ANSWER = "no-answer"
    """Nothing got through between any two addresses of the two ends."""

    FINGERPRINT = "fingerprint"
    """The device at the end of the path is not the one that was called."""
    TIMEOUT = "timeout"
    """It took too long."""
    INTERFERENCE = "interference"
    """What arrives does not verify, again and again."""

    MEDIA = "media"
    """Sound or picture cannot be opened, read or written."""
    INTERNAL = "internal"
    """A fault in this program."""


class Side(StrEnum):
    """At whose end something did not work."""

    HERE = "here"
    THERE = "there"
    BETWEEN = "between"
    """At neither end, or not to be told apart."""


def is_certain(cause: Cause | None) -> bool:
    """Whether a leg that failed for this would fail again, at once and for the same cause."""
    match cause:
        case (
            Cause.NO_NETWORK
            | Cause.NO_RELAY
            | Cause.RELAY_UNREACHABLE
            | Cause.RELAY_REFUSED
            | Cause.NO_ANSWER
            | Cause.FINGERPRINT
        ):
            return True
        case (
            None
            | Cause.SERVER_UNREACHABLE
            | Cause.SERVER_REFUSED
            | Cause.KEY_CHANGED
            | Cause.KEYS_INVALID
            | Cause.TIMEOUT
            | Cause.INTERFERENCE
            | Cause.MEDIA
            | Cause.INTERNAL
        ):
            return False
        case _:
            assert_never(cause)


def side_of(cause: Cause, *, ours: bool) -> Side:
    """Where it did not work.

    Args:
        cause: what did not work.
        ours: whether this end found it out; otherwise the other end said so.
    """
    match cause:
        case (
            Cause.SERVER_UNREACHABLE
            | Cause.SERVER_REFUSED
            | Cause.NO_NETWORK
            | Cause.NO_RELAY
            | Cause.RELAY_UNREACHABLE
            | Cause.RELAY_REFUSED
            | Cause.MEDIA
            | Cause.INTERNAL
        ):
            return Side.HERE if ours else Side.THERE
        case (
            Cause.KEY_CHANGED
            | Cause.KEYS_INVALID
            | Cause.NO_ANSWER
            | Cause.FINGERPRINT
            | Cause.TIMEOUT
            | Cause.INTERFERENCE
        ):
            return Side.BETWEEN
        case _:
            assert_never(cause)
