"""What was stored for this device while it was away: opened, checked against the contacts, told once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from entrenous_wire.addresses import Address
from entrenous_wire.messages import Letter

from .config import Strangers
from .crypto.handshake_messages import MediaKinds
from .crypto.notices import open_notice
from .crypto.profile import UntoldCall
from .directory import Directory
from .errors import KeystoreError, RemoteProtocolError
from .events import MissedCall
from .profile import Profile

log = logging.getLogger(__name__)


class Letterbox:
    """Takes the letters of a device.

    A missed call is kept in the profile until it was told: neither a crash of this process nor one of the server
    loses it or tells it twice, save that a kill in the moment of telling may repeat it.

    Args:
        profile: whose keys open them, and which remembers.
        directory: tells contacts from strangers.
        strangers: what a call of a stranger does; one that would not have rung is not told either.
        tell: gets each missed call once.
    """

    def __init__(
        self, profile: Profile, directory: Directory, strangers: Strangers, tell: Callable[[MissedCall], None]
    ) -> None:
        self._profile = profile
        self._directory = directory
        self._strangers = strangers
        self._tell = tell
        self._rang: set[bytes] = set()
        self.dropped = 0
        """Letters that were not fit to be taken."""

    def tell_untold(self) -> None:
        """Tell what an earlier process has taken and not told."""
        for call in self._profile.stored.untold:
            self._tell(_event(call))

    def take(self, letter: Letter) -> bool:
        """Take a letter.

        Returns:
            Whether it is in hand, or good for nothing: the server need not keep it. False when it could not be kept
            here; it comes again with the next session.
        """
        if self._profile.has_seen(letter.id):
            return True
        try:
            return self._take(letter)
        except RemoteProtocolError as error:
            self.dropped += 1
            log.info("a letter was refused: %s", type(error).__name__)
            return True
        except KeystoreError as error:
            log.warning("a letter could not be kept: %s", type(error).__name__)
            return False

    def rang(self, call_id: bytes) -> None:
        """The person saw a call ring here: it is not told as missed, whatever the caller believes."""
        self._rang.add(call_id)

    def ended(self, call_id: bytes) -> None:
        """A call is over; that it rang here is remembered from now on."""
        if call_id not in self._rang:
            return
        self._rang.discard(call_id)
        try:
            self._profile.remember(call_id)
        except KeystoreError as error:
            log.warning("a call could not be remembered: %s", type(error).__name__)

    def told(self, notice: MissedCall) -> None:
        """The person was told."""
        if notice.called_at is None:
            return
        try:
            self._profile.told(notice.address, notice.called_at)
        except KeystoreError as error:
            log.warning("a missed call may be told again: %s", type(error).__name__)

    def all_taken(self) -> None:
        """Nothing is stored for this device any more: expired prekeys have opened what they could."""
        try:
            self._profile.forget_expired_prekeys()
        except KeystoreError as error:
            log.warning("expired keys could not be deleted: %s", type(error).__name__)

    def _take(self, letter: Letter) -> bool:
        notice = open_notice(self._profile.credentials(), letter.body, letter.id, time.time())
        contact = self._directory.known_caller(notice)
        if notice.caller == self._profile.address or (contact is None and self._strangers is Strangers.REFUSE):
            self.dropped += 1
            return True
        if notice.call_id in self._rang or self._profile.has_seen(notice.call_id):
            return True
        video = MediaKinds.VIDEO in notice.kinds
        missed = UntoldCall(str(notice.caller), notice.started_at, video)
        self._profile.remember(letter.id, notice.call_id, missed=missed)
        self._tell(_event(missed))
        return True


def _event(call: UntoldCall) -> MissedCall:
    return MissedCall(Address.parse(call.address), called_at=call.at, video=call.video)
