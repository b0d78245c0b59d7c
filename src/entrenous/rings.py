"""Rings that arrive: opened, their callers told from strangers, and what may be shown to them decided."""

from __future__ import annotations

import time
from dataclasses import dataclass

from entrenous_wire.messages import Deliver

from .config import IcePolicy, Strangers
from .crypto.handshake import IncomingRing, RingGuard, open_ring
from .crypto.profile import Credentials
from .directory import Directory
from .errors import VerificationError
from .policies import early_leg
from .profile import Contact, Profile
from .protocol.inputs import Device, EarlyLeg


@dataclass(frozen=True, slots=True)
class OpenedRing:
    """A ring that is what it says.

    Args:
        ring: as opened.
        credentials: those that it was opened with, and that its handshake goes on with.
        device: the device that rings.
        age: seconds since it was sent.
        contact: who rings, None for a stranger.
        early: which leg may be prepared before anybody accepts.
    """

    ring: IncomingRing
    credentials: Credentials
    device: Device
    age: float
    contact: Contact | None
    early: EarlyLeg


class Rings:
    """Opens the rings for one device.

    Args:
        profile: whose keys open them, and whose contacts may ring.
        directory: tells contacts from strangers.
        strangers: what a ring of a stranger does.
        policy: which addresses of this machine may be shown.
    """

    def __init__(self, profile: Profile, directory: Directory, strangers: Strangers, policy: IcePolicy) -> None:
        self._profile = profile
        self._directory = directory
        self._strangers = strangers
        self._policy = policy
        self._guard = RingGuard()

    def open(self, message: Deliver, *, lacks_relay: bool) -> OpenedRing | None:
        """Open a ring; None for one of a stranger where these are refused.

        Args:
            message: as delivered.
            lacks_relay: whether the server has said that there is no relay.

        Raises:
            RemoteProtocolError: it does not open, it was opened before, or it is not from who it says.
            KeystoreError: the key of who rings for the first time cannot be pinned.
        """
        if message.sender not in self._profile.contacts and self._strangers is Strangers.REFUSE:
            return None  # unopened: strangers cost no work, and fill no memory of rings
        credentials, now = self._profile.credentials(), time.time()
        ring = open_ring(credentials, message.body, message.call, now, self._guard)
        device = Device(str(ring.caller), ring.caller_device)
        if device != (message.sender, message.device):
            raise VerificationError("A ring came from another device than it says.")
        contact = self._directory.known_caller(ring)
        early = early_leg(self._policy, is_contact=contact is not None, lacks_relay=lacks_relay)
        return OpenedRing(ring, credentials, device, now - ring.sent_at, contact, early)
