"""What a call needs of the node around it; the node is what implements it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from entrenous_wire.addresses import Address
from entrenous_wire.messages import Kind

from .crypto.handshake import CallerHandshake
from .crypto.identity import VerifiedDevice
from .media.engine import MediaEngine
from .protocol import inputs
from .protocol.inputs import Device
from .relays import Lease


class Surroundings(Protocol):
    """The node as its calls see it."""

    engine: MediaEngine
    me: Device

    @property
    def relay_only(self) -> bool:
        """Whether no address of this machine may be shown to anybody."""

    @property
    def relay_until_accept(self) -> bool:
        """Whether no address of this machine may be shown while it rings."""

    def report(self, fact: inputs.Input) -> None:
        """Tell the call machine a fact."""

    def doubt_server(self) -> None:
        """The way to the server may be broken too, as where a NAT has forgotten everything."""

    def send(self, device: Device, call: bytes, kind: Kind, body: bytes) -> None:
        """Hand a sealed body to the signaling server, now or when it is back."""

    def has_delivered(self, device: Device) -> bool:
        """Whether all that was handed to the server for a device has arrived there."""

    async def fetch_devices(self, address: Address) -> Sequence[VerifiedDevice]:
        """The verified devices of a contact; raises ServerError, IdentityChanged, VerificationError."""

    async def lease_servers(self) -> Lease:
        """STUN and TURN servers with credentials for one call; those of the configuration when the server is away."""

    def begin_handshake(self, device: VerifiedDevice, call: bytes, *, video: bool) -> CallerHandshake:
        """Begin the caller's half of a handshake."""
