"""The calls of a node: the shell of the pure desk, and the conversation behind each call.

The desk is fed verified facts one by one and says what is to be done. The switchboard knows which conversation an order
or a message belongs to, makes one for who is dialled and for who rings, and lets go of it when all is given back.
"""

from __future__ import annotations

import os
from collections.abc import Coroutine
from typing import Any, Protocol

from entrenous_wire.addresses import Address
from entrenous_wire.limits import CALL_ID_BYTES
from entrenous_wire.messages import Deliver, Send

from .call import Call
from .conversation import Conversation
from .crypto.handshake import CalleeHandshake, MediaKinds
from .desk_runner import DeskRunner
from .errors import LocalProtocolError
from .media.streams import Sink, Source
from .profile import Contact
from .protocol import inputs, outputs
from .protocol.call import CallMachine
from .protocol.causes import Cause
from .protocol.deadlines import Timeouts
from .protocol.desk import Desk
from .protocol.inputs import Device
from .protocol.states import CallState, Role, Stage
from .rings import OpenedRing
from .surroundings import Surroundings


class SwitchboardUser(Surroundings, Protocol):
    """What calls need around them, and who is told of them: the node."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> object:
        """Run something beside the node."""

    def call_rings(self, call: Call) -> None:
        """A call rings here."""

    def call_ended(self, conversation: Conversation, change: outputs.StateChanged) -> None:
        """A call is over."""

    def call_forgotten(self, call_id: bytes) -> None:
        """All that an ended call had is given back."""


class Switchboard:
    """The calls of one device.

    Args:
        user: the node.
        timeouts: how long to wait for what.
    """

    def __init__(self, user: SwitchboardUser, timeouts: Timeouts) -> None:
        self.conversations: dict[bytes, Conversation] = {}
        """Of the calls that are not given back yet, by their ids."""
        self._user = user
        self._desk = DeskRunner(Desk(user.me, timeouts), self._carry_out)

    @property
    def live(self) -> CallMachine | None:
        """The call that occupies this device."""
        return self._desk.live

    @property
    def dropped(self) -> int:
        """Facts that came late, twice, or that the protocol does not allow."""
        return self._desk.dropped

    def report(self, fact: inputs.Input) -> None:
        """Tell the call machine a fact.

        Raises:
            LocalProtocolError: our own caller did something that the protocol does not allow now.
        """
        self._desk.report(fact)

    def dial(
        self, address: Address, contact: Contact, source: Source | None, sink: Sink | None, *, has_video: bool
    ) -> Call:
        """Begin a call.

        Args:
            address: whom to call.
            contact: who that is.
            source, sink: what to send once it is accepted, and where to put what arrives.
            has_video: whether to announce a picture.

        Raises:
            LocalProtocolError: a call is live already.
        """
        if self.live is not None:
            raise LocalProtocolError(f"There is a call with {self.live.address} already: end it before dialling anew.")
        call_id = os.urandom(CALL_ID_BYTES)
        call = Call(call_id, address, outgoing=True, has_video=has_video, contact=contact)
        conversation = Conversation(call_id, Role.CALLER, call, self._user)
        conversation.media.source, conversation.media.sink = source, sink
        self.conversations[call_id] = conversation
        call.mark("dialled")
        self.report(inputs.Dialled(call_id, str(address)))
        return call

    def ring(self, opened: OpenedRing, *, lacks_relay: bool) -> None:
        """Take a ring: it rings here, or the desk decides otherwise.

        Args:
            opened: as it was opened.
            lacks_relay: whether the server has said that there is no relay.
        """
        ring = opened.ring
        rang = inputs.Rang(ring.call_id, opened.device, opened.age, opened.early)
        if ring.call_id in self.conversations:
            self.report(rang)  # of the call that has this id: it keeps its conversation, whatever the desk decides
            return
        has_video = MediaKinds.VIDEO in ring.kinds
        call = Call(ring.call_id, ring.caller, outgoing=False, has_video=has_video, contact=opened.contact)
        conversation = Conversation(ring.call_id, Role.CALLEE, call, self._user)
        conversation.add_peer(opened.device, CalleeHandshake(opened.credentials, ring, os.urandom))
        self.conversations[ring.call_id] = conversation
        self.report(rang)
        if self._user.relay_only and lacks_relay and call.state is CallState.RINGING:
            conversation.cannot_connect(Cause.NO_RELAY)
        if call.state is CallState.NEW:
            self.conversations.pop(ring.call_id, None)  # busy, or refused as a repetition: it never rang

    def receive(self, message: Deliver) -> bool:
        """Take a sealed body that is no ring; False when it belongs to no call here."""
        conversation = self.conversations.get(message.call)
        if conversation is None:
            return False
        conversation.receive(Device(message.sender, message.device), message.body)
        return True

    def not_delivered(self, message: Send) -> None:
        """A message does not arrive: for a call that means that the device is offline."""
        if message.call in self.conversations:
            self.report(inputs.DeviceOffline(message.call, Device(message.to, message.device)))

    def network_changed(self) -> None:
        """Tell all calls that an address, a route or a link of this machine came or went."""
        for conversation in list(self.conversations.values()):
            conversation.network_changed()

    async def hang_up(self) -> None:
        """End the call that is live, and wait until all are given back."""
        if (live := self.live) is not None:
            if live.state is CallState.RINGING:  # the person did not refuse: other devices of theirs ring on
                self.report(inputs.LocalFailure(live.id, Stage.RING, "This device went offline."))
            else:
                self.report(inputs.HungUp(live.id))
        for conversation in list(self.conversations.values()):
            await conversation.wait_finished()

    def stop(self) -> None:
        """Let no deadline pass any more."""
        self._desk.stop()

    def _carry_out(self, output: outputs.Output) -> None:
        conversation = self.conversations.get(output.call)
        if conversation is None:
            return  # a word to a device whose call was forgotten: there are no keys to say it with
        if isinstance(output, outputs.CarryOver):
            self.conversations[output.to].take_over(conversation)
            return
        conversation.carry_out(output)
        if isinstance(output, outputs.StateChanged):
            self._state_changed(conversation, output)

    def _state_changed(self, conversation: Conversation, change: outputs.StateChanged) -> None:
        if change.new is CallState.RINGING:
            conversation.call.mark("rang")
            self._user.call_rings(conversation.call)
        elif change.new is CallState.ENDED:
            self._user.call_ended(conversation, change)
            self._user.spawn(self._forget(conversation))

    async def _forget(self, conversation: Conversation) -> None:
        await conversation.wait_finished()
        self.conversations.pop(conversation.id, None)
        self._user.call_forgotten(conversation.id)
