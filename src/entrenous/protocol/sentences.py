"""One sentence for people about each end of a call: what happened, whose side it is on, what to do about it."""

from __future__ import annotations

from typing import assert_never

from .causes import Cause, Side
from .states import EndReason, Stage

_SETTINGS = 'set ice_policy to "direct"'


def sentence(
    reason: EndReason,
    stage: Stage,
    peer: str,
    cause: Cause | None = None,
    side: Side | None = None,
    *,
    relays: bool = True,
    had_media: bool = False,
) -> str:
    """Why the call ended, for the person at this end.

    Args:
        reason: why it ended, as this end reads it.
        stage: how far it got; told where it helps.
        peer: how to name the other user: an address, or the contact's name.
        cause: of a call that failed, what did not work.
        side: at whose end.
        relays: whether this end had a relay to offer.
        had_media: whether the two could talk before.
    """
    match reason:
        case EndReason.LOCAL:
            return "You ended the call."
        case EndReason.REMOTE:
            return f"{peer} ended the call."
        case EndReason.DECLINED:
            return f"{peer} declined the call."
        case EndReason.BUSY:
            return f"{peer} is in another call."
        case EndReason.UNANSWERED:
            return f"{peer} did not answer."
        case EndReason.MISSED:
            return f"You missed a call from {peer}."
        case EndReason.CANCELLED:
            return f"{peer} stopped calling."
        case EndReason.ELSEWHERE:
            return "The call was taken or declined on another of your devices."
        case EndReason.OFFLINE:
            return f"{peer} is not reachable now: none of their devices is connected."
        case EndReason.UNKNOWN_USER:
            return f"There is no user {peer}: check the address."
        case EndReason.FAILED:
            what = "The call broke off" if had_media else "The call could not be set up"
            return f"{what}: {_failure(stage, peer, cause, side, relays)}"
        case EndReason.LOST:
            return f"The connection with {peer} was lost and did not come back."
        case EndReason.CROSSED:
            return f"You and {peer} called each other at the same moment."
        case EndReason.RECALLED:
            return f"{peer} lost this call and is calling again."
        case _:
            assert_never(reason)


def _failure(stage: Stage, peer: str, cause: Cause | None, side: Side | None, relays: bool) -> str:
    if cause is None:
        return _at(stage, peer)
    match side:
        case Side.THERE:
            return _there(cause, stage, peer)
        case Side.HERE:
            return _here(cause, stage, peer)
        case Side.BETWEEN | None:
            return _between(cause, stage, peer, relays)
        case _:
            assert_never(side)


def _at(stage: Stage, peer: str) -> str:
    match stage:
        case Stage.KEYS:
            return f"the keys of {peer} could not be fetched or checked."
        case Stage.RING:
            return f"{peer} could not be rung."
        case Stage.PATH:
            return "no network path was found between the two devices."
        case Stage.HANDSHAKE:
            return "the network path could not be secured."
        case Stage.MEDIA:
            return "sound or picture could not be opened."
        case _:
            assert_never(stage)


def _here(cause: Cause, stage: Stage, peer: str) -> str:
    """What did not work at this end."""
    match cause:
        case Cause.SERVER_UNREACHABLE:
            return "your signaling server does not answer. Check this machine's network, then call again."
        case Cause.SERVER_REFUSED:
            return "your signaling server refused to help. Ask its operator why."
        case Cause.NO_NETWORK:
            return "this machine has no network. Connect it by cable or wireless, then call again."
        case Cause.NO_RELAY:
            return (
                "you allow relays only, and your server offers none. "
                f"Ask its operator for a relay (TURN), or {_SETTINGS}."
            )
        case Cause.RELAY_UNREACHABLE:
            return (
                "you allow relays only, and no relay of your server answers. Ask its operator whether the relay (TURN) "
                "runs and can be reached, also by TLS on port 443, which most networks let through."
            )
        case Cause.RELAY_REFUSED:
            return (
                "you allow relays only, and the relay of your server turned us away. "
                "Ask its operator to check the shared secret, the clock and the quotas of the relay (TURN)."
            )
        case Cause.MEDIA:
            return "sound or picture could not be opened. Check microphone, camera and files, then call again."
        case Cause.INTERNAL:
            return "a fault in this program; ENTRENOUS_DEBUG=1 shows where."
        case (
            Cause.KEY_CHANGED
            | Cause.KEYS_INVALID
            | Cause.NO_ANSWER
            | Cause.FINGERPRINT
            | Cause.TIMEOUT
            | Cause.INTERFERENCE
        ):
            return _between(cause, stage, peer, True)
        case _:
            assert_never(cause)


def _there(cause: Cause, stage: Stage, peer: str) -> str:
    """What did not work at the other end, which told us."""
    match cause:
        case Cause.SERVER_UNREACHABLE | Cause.SERVER_REFUSED:
            return f"{peer} could not get through to their signaling server. Call again in a while."
        case Cause.NO_NETWORK:
            return f"{peer} has no network at the moment. Call again in a while."
        case Cause.NO_RELAY:
            return (
                f"{peer} allows relays only, and their server offers none. "
                "They can ask its operator for a relay (TURN), or allow direct paths."
            )
        case Cause.RELAY_UNREACHABLE:
            return (
                f"{peer} allows relays only, and cannot reach the relay of their server. "
                "They can ask its operator whether the relay (TURN) runs, or try another network."
            )
        case Cause.RELAY_REFUSED:
            return (
                f"{peer} allows relays only, and was turned away by the relay of their server. "
                "They can ask its operator to check the relay (TURN)."
            )
        case Cause.MEDIA:
            return (
                f"sound or picture could not be opened at the device of {peer}. Call again when they have checked it."
            )
        case Cause.INTERNAL:
            return f"a fault in the program at the device of {peer}. Call again."
        case (
            Cause.KEY_CHANGED
            | Cause.KEYS_INVALID
            | Cause.NO_ANSWER
            | Cause.FINGERPRINT
            | Cause.TIMEOUT
            | Cause.INTERFERENCE
        ):
            return _between(cause, stage, peer, True)
        case _:
            assert_never(cause)


def _between(cause: Cause, stage: Stage, peer: str, relays: bool) -> str:
    """What is at neither end, or not to be told apart."""
    match cause:
        case Cause.KEY_CHANGED:
            return f"the key of {peer} is not the one that was known. Ask them about it by another way."
        case Cause.KEYS_INVALID:
            return f"what the server gives as the keys of {peer} does not verify. Do not trust this server."
        case Cause.NO_ANSWER if relays:
            return (
                "nothing gets through between the two networks, neither directly nor by a relay. One of them "
                "blocks UDP, or the relay is out of reach: try another network, or ask your operator to check the "
                "relay (TURN)."
            )
        case Cause.NO_ANSWER:
            return (
                "nothing gets through between the two networks directly, and your server offers no relay. One of them "
                "blocks UDP or hides its addresses: ask your operator for a relay (TURN), or try another network."
            )
        case Cause.FINGERPRINT:
            return (
                f"at the end of the network path is another device than the one of {peer} that answered. "
                "Somebody may stand in between: do not trust this network, try another one."
            )
        case Cause.INTERFERENCE:
            return "what arrives does not verify. Somebody interferes with this call: try another network."
        case Cause.TIMEOUT:
            return _too_slow(stage, peer)
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
            return _at(stage, peer)
        case _:
            assert_never(cause)


def _too_slow(stage: Stage, peer: str) -> str:
    match stage:
        case Stage.KEYS:
            return f"the keys of {peer} did not come in time. Try again."
        case Stage.RING:
            return f"the device of {peer} did not complete the key exchange in time. Try again."
        case Stage.PATH:
            return "the two devices did not learn each other's addresses in time. Try again."
        case Stage.HANDSHAKE:
            return "a network path was found but could not be secured in time: it loses too much. Try another network."
        case Stage.MEDIA:
            return "sound or picture took too long to open. Check microphone and camera, then call again."
        case _:
            assert_never(stage)
