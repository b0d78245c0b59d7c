"""Word for those who were called and could not be rung: which calls leave it, and how it is handed in."""

from __future__ import annotations

import logging
import os
import time
from typing import Protocol, assert_never

from entrenous_wire.limits import MESSAGE_ID_BYTES

from .conversation import Conversation
from .crypto.handshake import MediaKinds
from .crypto.notices import seal_notice
from .crypto.profile import Credentials
from .errors import VerificationError
from .protocol import outputs
from .protocol.states import CallState, EndReason, Role

log = logging.getLogger(__name__)


class Carrier(Protocol):
    """What has sealed bodies stored: the link."""

    def store(self, to: str, device: str, message_id: bytes, body: bytes) -> None:
        """Have a sealed body stored for a device until it comes."""


def is_missed(conversation: Conversation, change: outputs.StateChanged) -> bool:
    """Whether a call that ends with `change` is one that we placed and to which nobody has said a word."""
    match change.old:
        case CallState.INVITING | CallState.ALERTING:
            unheard = change.reason in (EndReason.LOCAL, EndReason.UNANSWERED, EndReason.OFFLINE)
        case CallState.PREPARING:
            unheard = change.reason is EndReason.OFFLINE
        case (
            CallState.NEW
            | CallState.RINGING
            | CallState.ANSWERING
            | CallState.CONNECTING
            | CallState.ACTIVE
            | CallState.RECONNECTING
            | CallState.ENDED
        ):
            unheard = False
        case _:
            assert_never(change.old)
    return unheard and change.new is CallState.ENDED and conversation.role is Role.CALLER


def leave_word(conversation: Conversation, credentials: Credentials, carrier: Carrier) -> None:
    """Tell each device that has not said that it rings, when it comes, that it missed this call.

    Args:
        conversation: a call that we placed and that has just ended.
        credentials: of this device.
        carrier: has the notices stored.
    """
    call = conversation.call
    started_at = time.time() - (time.monotonic() - call.timings["dialled"])
    kinds = kinds_of(video=call.has_video)
    for device in conversation.unreached():
        message_id = os.urandom(MESSAGE_ID_BYTES)
        try:
            body = seal_notice(credentials, device, message_id, conversation.id, kinds, started_at)
        except VerificationError as error:
            log.info("no word was left for a device: %s", type(error).__name__)  # it has signed a key that is none
            continue
        carrier.store(str(device.certificate.address), device.certificate.device_id, message_id, body)


def kinds_of(*, video: bool) -> MediaKinds:
    """What a call with or without picture is to exchange."""
    return MediaKinds.AUDIO | MediaKinds.VIDEO if video else MediaKinds.AUDIO
