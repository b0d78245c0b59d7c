"""What the two ends of one call say to each other: sealed, sent by leg or server, and opened where it arrives.

What arrives is reported to the call machine as a verified fact, or handed to the legs and keys that it is about.
What does not verify is counted; from a certain number on the call ends, unless it needs nobody's word any more.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Protocol, assert_never

from entrenous_wire.messages import Kind

from .call import Call
from .call_keys import KeyRenewal
from .call_legs import CallLegs
from .call_media import CallMedia
from .call_servers import has_relay
from .crypto.handshake import Refused, Ringing
from .crypto.messages import (
    Accept,
    Candidate,
    End,
    InnerMessage,
    LegAnswer,
    LegOffer,
    MediaState,
    PleaseRestart,
    RekeyAnswer,
    RekeyDone,
    RekeyOffer,
    Reveal,
)
from .errors import LocalProtocolError, RemoteProtocolError, Replayed, VerificationError
from .events import PeerMedia, Rekeyed
from .peer import MAX_FAILURES, PeerDevice
from .protocol import inputs, outputs
from .protocol.causes import Cause
from .protocol.inputs import Device, Leg
from .protocol.states import CallState, EndReason, Stage, is_answered
from .surroundings import Surroundings

log = logging.getLogger(__name__)


class MailUser(Protocol):
    """The conversation whose mail it is."""

    id: bytes
    call: Call
    media: CallMedia
    peers: dict[Device, PeerDevice]

    def broke(self, error: Exception) -> None:
        """A step did not work; the call ends with the reason."""


class CallMail:
    """Seals, sends, opens and sorts the messages of a call.

    Args:
        user: the conversation.
        legs: what descriptions and candidates are for.
        around: the node.
    """

    def __init__(self, user: MailUser, legs: CallLegs, around: Surroundings) -> None:
        self._user = user
        self._legs = legs
        self._around = around
        self._media_number = -1
        self._peer_media: PeerMedia | None = None
        self.partner: PeerDevice | None = None
        """The device that the call goes on with."""
        self.keys = KeyRenewal(self._transmit_to_partner, lambda epoch: user.call.announce(Rekeyed(epoch)))
        self.dropped = 0
        """What came from the peer and was not fit to be taken."""

    # --- what arrives ---

    def receive(self, device: Device, body: bytes, *, by_leg: bool) -> None:
        """Take a sealed body of a device of this call, from the server or a data channel."""
        peer = self._user.peers.get(device)
        if peer is None or self._user.call.state is CallState.ENDED:
            self.dropped += 1
            return
        try:
            self._take(peer, peer.receive(body))
        except Replayed:
            return  # it took two ways, as it was sent
        except RemoteProtocolError as error:
            self._refuse(peer, error, by_leg)
        except Exception as error:
            self._user.broke(error)

    def _refuse(self, peer: PeerDevice, error: RemoteProtocolError, by_leg: bool) -> None:
        self.dropped += 1
        log.info("a message was refused: %s", type(error).__name__)
        # What is authentic and odd is a fault, or haste, of the peer's program and nobody's attack. Whoever runs the
        # server can make up messages: they must not be able to end a call that needs it no more.
        needs_server = not is_answered(self._user.call.state)
        peer.failures += isinstance(error, VerificationError) and (by_leg or needs_server)
        if peer.failures == MAX_FAILURES:
            self._around.report(inputs.LocalFailure(self._user.id, Stage.HANDSHAKE, "", Cause.INTERFERENCE))

    def _take(self, peer: PeerDevice, message: Ringing | Refused | InnerMessage) -> None:
        report, call = self._around.report, self._user.id
        match message:
            case Ringing():
                self._take_ringing(peer, message)
            case Refused():
                report(self._end_of(peer, message))
            case Reveal():
                peer.words_known.set()
            case Accept():
                self._note_offer(peer, message.offer)
                if self.partner is None:
                    self.partner = peer
                report(inputs.AcceptReceived(call, peer.device, message.offer is not None))
            case End():
                report(self._end_of(peer, message))
            case LegOffer():
                self._note_offer(peer, message)
                report(inputs.LegOffered(call, Leg(peer.device, message.generation)))
            case LegAnswer():
                self._legs.take_answer(peer, message)
            case Candidate():
                peer.take_candidate(message)
            case PleaseRestart():
                report(inputs.PleaseReceived(call, Leg(peer.device, message.generation), message.stalled))
            case MediaState():
                if peer is self.partner:  # another device of theirs, that rings too, has no part in this
                    self._take_media_state(message)
            case RekeyOffer() | RekeyAnswer() | RekeyDone():
                self.keys.take(peer.handshake.secrets, message)
            case _:
                assert_never(message)

    def _take_ringing(self, peer: PeerDevice, ringing: Ringing) -> None:
        """The keys stand at the caller: open the commitment, so that they stand at the callee too."""
        self._user.call.mark("alerting")
        peer.words_known.set()
        self.transmit(peer, Kind.SIGNAL, peer.handshake.secrets.reveal())
        self._note_offer(peer, ringing.leg_offer)
        self._around.report(inputs.RingingReceived(self._user.id, peer.device, ringing.leg_offer is not None))

    def _end_of(self, peer: PeerDevice, end: End | Refused) -> inputs.EndReceived:
        device = end.device if isinstance(end, End) else None
        taken_by = None if device is None else Device(self._around.me.address, device)
        stage = None if end.stage is None else _stage(end.stage)
        cause = None if end.cause is None else _cause(end.cause)
        relays = has_relay(self._legs.servers.current)
        return inputs.EndReceived(self._user.id, peer.device, _reason(end.reason), taken_by, stage, cause, relays)

    @staticmethod
    def _note_offer(peer: PeerDevice, offer: LegOffer | None) -> None:
        if offer is not None:
            peer.note_offer(offer)

    def _take_media_state(self, state: MediaState) -> None:
        if state.number <= self._media_number:
            return  # a newer one was faster
        self._media_number = state.number
        media = PeerMedia(state.audio_muted, state.video_muted, state.camera_on, state.screen_on, state.held)
        if media != self._peer_media:
            self._peer_media = media
            self._user.media.peer_switched(media)
            self._user.call.announce(media)

    # --- what is said ---

    def say(self, peer: PeerDevice, message: InnerMessage, kind: Kind) -> None:
        """Seal and send a message."""
        # The other end may ask for a new leg because it hears nothing on this one, while all seems well from here.
        about_legs = isinstance(message, LegOffer | LegAnswer | Candidate | PleaseRestart)
        self.transmit(peer, kind, peer.seal(message), also_by_server=about_legs)

    def say_end(self, output: outputs.SendEnd) -> None:
        """Tell devices that the call is over for them."""
        accepted = None if output.accepted_device is None else output.accepted_device.id
        cause = None if output.cause is None else output.cause.value
        message = End(output.reason.value, accepted, output.stage.value, cause)
        for device in output.devices:
            # A device that has refused or was given up has no keys any more, and needs no word.
            with suppress(LocalProtocolError):
                self.say(self._user.peers[device], message, output.kind)

    def transmit(self, peer: PeerDevice, kind: Kind, body: bytes, *, also_by_server: bool = False) -> None:
        """Send a sealed body by the leg while it works, else by the server, and by both what the server must count.

        While a leg is doubted, by either end, both are used too: the replay window takes each message once.
        """
        by_leg = peer.send_data(body)
        active = self._user.call.state is CallState.ACTIVE
        if not by_leg or also_by_server or kind is not Kind.SIGNAL or not active:
            self._around.send(peer.device, self._user.id, kind, body)

    def _transmit_to_partner(self, body: bytes) -> None:
        if self.partner is not None:
            self.transmit(self.partner, Kind.SIGNAL, body)


def _reason(text: str) -> EndReason:
    try:
        return EndReason(text)
    except ValueError:
        raise RemoteProtocolError("An end names an unknown reason.") from None


def _stage(text: str) -> Stage:
    try:
        return Stage(text)
    except ValueError:
        raise RemoteProtocolError("An end names an unknown stage.") from None


def _cause(text: str) -> Cause | None:
    """A cause that only a newer program knows is none to us: the reason and the stage still hold."""
    try:
        return Cause(text)
    except ValueError:
        return None
