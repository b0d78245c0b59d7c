"""One sentence for people about each end of a call."""

from __future__ import annotations

from typing import assert_never

from .states import EndReason, Stage


def sentence(reason: EndReason, stage: Stage, peer: str) -> str:
    """Why the call ended, for the person at this end.

    Args:
        reason: why it ended, as this end reads it.
        stage: how far it got; told where it helps (FAILED, LOCAL and REMOTE before there was media).
        peer: how to name the other user: an address, or the contact's name.
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
            return f"The call could not be set up: {_failure(stage, peer)}"
        case EndReason.LOST:
            return f"The connection with {peer} was lost and did not come back."
        case EndReason.CROSSED:
            return f"You and {peer} called each other at the same moment."
        case EndReason.RECALLED:
            return f"{peer} lost this call and is calling again."
        case _:
            assert_never(reason)


def _failure(stage: Stage, peer: str) -> str:
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
