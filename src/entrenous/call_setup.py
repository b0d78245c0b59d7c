"""How a call begins: whom to ring, the rings, the answer to a ring, the accept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol, assert_never

from entrenous_wire.addresses import Address
from entrenous_wire.messages import ErrorCode, Kind

from .call import Call
from .call_legs import CallLegs
from .crypto.handshake import CalleeHandshake, CallerHandshake
from .crypto.identity import VerifiedDevice
from .crypto.messages import Accept, InnerMessage, LegOffer
from .errors import EntrenousError, IdentityChanged, RequestRefused, ServerUnreachable, VerificationError
from .peer import PeerDevice
from .protocol import inputs, outputs
from .protocol.causes import Cause
from .protocol.inputs import Device, EarlyLeg
from .protocol.states import EndReason, Stage
from .surroundings import Surroundings


class SetupUser(Protocol):
    """The conversation that is set up."""

    id: bytes
    call: Call
    peers: dict[Device, PeerDevice]

    def could_not_ring(self, device: VerifiedDevice) -> None:
        """Note a device that is away for so long that it cannot be rung."""

    @property
    def over(self) -> bool:
        """Whether the call has ended."""

    def add_peer(self, device: Device, handshake: CallerHandshake | CalleeHandshake) -> None:
        """Take a device of the other end into the call."""

    def say(self, peer: PeerDevice, message: InnerMessage, kind: Kind) -> None:
        """Seal and send a message."""

    def transmit(self, peer: PeerDevice, kind: Kind, body: bytes) -> None:
        """Send a sealed body."""


class CallSetup:
    """Carries out what the call machine asks for before and at accept.

    Args:
        user: the conversation.
        legs: its legs.
        around: the node.
    """

    def __init__(self, user: SetupUser, legs: CallLegs, around: Surroundings) -> None:
        self._user = user
        self._legs = legs
        self._around = around

    async def fetch_keys(self, address: str) -> None:
        """Find out whom to ring; the handshakes are made here, so that ringing is only sending."""
        user, report = self._user, self._around.report
        if self._around.relay_only:
            await self._legs.servers.learn(wait=True)
            if self._legs.servers.lacks_relay:
                report(inputs.LocalFailure(user.id, Stage.PATH, "", Cause.NO_RELAY))
                return
        try:
            for device in await self._around.fetch_devices(Address.parse(address)):
                if not device.can_ring(time.time()):
                    user.could_not_ring(device)
                    continue
                handshake = self._around.begin_handshake(device, user.id, video=user.call.has_video)
                user.add_peer(Device(address, device.certificate.device_id), handshake)
        except RequestRefused as error:
            if error.code == ErrorCode.UNKNOWN_USER:
                report(inputs.KeysFailed(user.id, EndReason.UNKNOWN_USER))
            else:
                report(inputs.KeysFailed(user.id, EndReason.FAILED, str(error), Cause.SERVER_REFUSED))
        except EntrenousError as error:
            report(inputs.KeysFailed(user.id, EndReason.FAILED, str(error), _cause(error)))
        else:
            user.call.mark("keys")
            report(inputs.KeysReady(user.id, tuple(user.peers)))

    def ring(self, devices: Sequence[Device]) -> None:
        """Ring devices of the callee."""
        for device in devices:
            handshake = self._user.peers[device].handshake
            assert isinstance(handshake, CallerHandshake)  # only a caller is asked to ring
            self._around.send(device, self._user.id, Kind.RING, handshake.ring)
        self._user.call.mark("rang")

    async def send_ringing(self, output: outputs.SendRinging) -> None:
        """Answer a ring, with the offer of a leg that is prepared while it rings."""
        peer = self._user.peers[output.device]
        offer: LegOffer | None = None
        match output.early_leg:
            case EarlyLeg.NONE:
                pass
            case EarlyLeg.DIRECT | EarlyLeg.RELAY:
                offer = await self._legs.offer(peer, 0, relay_only=output.early_leg is EarlyLeg.RELAY)
            case _:
                assert_never(output.early_leg)
        if not self._user.over:
            self._user.transmit(peer, output.kind, peer.answer_ring(offer))
            self._legs.say_candidates(peer, 0)

    def send_accept(self, output: outputs.SendAccept) -> None:
        """Take the call over the leg that was prepared; what is said next must not overtake this."""
        self._user.say(self._user.peers[output.device], Accept(None), output.kind)

    async def send_accept_and_offer(self, output: outputs.SendAccept) -> None:
        """Take the call, with the offer of a leg, since none was prepared."""
        peer = self._user.peers[output.device]
        offer = await self._legs.offer(peer, 0)
        if not self._user.over:
            self._user.say(peer, Accept(offer), output.kind)
            self._legs.say_candidates(peer, 0)


def _cause(error: EntrenousError) -> Cause | None:
    """What the failure to get somebody's keys is, in a word."""
    match error:
        case ServerUnreachable():
            return Cause.SERVER_UNREACHABLE
        case IdentityChanged():
            return Cause.KEY_CHANGED
        case VerificationError():
            return Cause.KEYS_INVALID
        case _:
            return None
