"""What the messages of calls mean for the records of these: an accept opens one, or joins it, and an end closes it."""

from __future__ import annotations

from typing import Final, assert_never

from entrenous_wire.messages import Kind, Live, Send

from .auth import Refused, local_user
from .calls import CallRecords
from .cluster.envelopes import Forwarded
from .counters import Counters
from .mailbox import LOST, QUEUED, STORED, DeviceKey, Durability, Mailbox, Sent

RECORDS_NOTHING: Final = frozenset({Kind.SIGNAL, Kind.RING, Kind.MESSAGE})
"""What opens and closes no record: nearly all that is said, so that it takes the short way."""


class CallMessages:
    """Tells the records of calls what devices say.

    Args:
        calls: the records.
        server: the name of this server, the host of its addresses.
        counters: what is counted.
        alone: whether all devices are at this node.
    """

    def __init__(self, calls: CallRecords, server: str, counters: Counters, *, alone: bool) -> None:
        self._calls = calls
        self._server = server
        self._counters = counters
        self._alone = alone

    def said(
        self, sender: Mailbox, receiver: Mailbox | None, receiver_key: DeviceKey, message: Send, now: float
    ) -> Sent:
        """A device of this node says something: open or close the call record, as the kind of the message asks.

        Args:
            sender: the device.
            receiver: the mailbox of the other one, or None when it is offline.
            receiver_key: the other one.
            message: what it says.
            now: Unix seconds.

        Raises:
            Refused: `too-many`, when the account is in as many calls as it may be.
        """
        if receiver is None:
            sent = Sent(LOST, STORED, message.call, None)
        else:
            sent = Sent(QUEUED, STORED, message.call, receiver_key)
        if message.kind in RECORDS_NOTHING:
            return sent
        elsewhere = self._is_elsewhere(receiver)
        waiter = (sender.key, message.id)
        match message.kind:
            case Kind.SIGNAL | Kind.RING | Kind.MESSAGE:
                pass
            case Kind.ACCEPT:
                if receiver is not None:
                    sent.record = self._calls.accepted(
                        *(message.call, sender.key, receiver_key),
                        connected=receiver.connection is not None,
                        waiter=waiter,
                        now=now,
                        elsewhere=elsewhere,
                    )
                    if sent.record is not None:
                        sent.durability = Durability.STORING
            case Kind.END:
                if self._calls.ended(message.call, sender.key, receiver_key, waiter, now, elsewhere=elsewhere):
                    sent.durability = Durability.STORING
            case _:
                assert_never(message.kind)
        return sent

    def put_off(
        self, sender: Mailbox, receiver: Mailbox | None, receiver_key: DeviceKey, message: Send, now: float
    ) -> None:
        """A device of this node says something that it is to say again later; the arguments are those of `said`."""
        if message.kind is Kind.END:
            elsewhere = self._is_elsewhere(receiver)
            self._calls.hung_up(message.call, sender.key, receiver_key, now, elsewhere=elsewhere)

    def arrived(self, message: Forwarded, sender: DeviceKey, receiver: Mailbox, now: float) -> bytes | None:
        """A message of another node is here for a device of ours; returns the token of its record, if it has one."""
        match message.kind:
            case Kind.ACCEPT if message.recorded:
                connected = receiver.connection is not None
                return self._calls.joined(message.call, sender, receiver.key, connected=connected, now=now)
            case Kind.END:
                self._calls.ended(message.call, sender, receiver.key, None, now)
                return None
            case Kind.ACCEPT | Kind.SIGNAL | Kind.RING | Kind.MESSAGE:
                return None
            case _:
                assert_never(message.kind)

    def found_waiting(self, mailbox: Mailbox, now: float) -> None:
        """A device has come from another node, and accepts wait for it here: this node closes their calls now."""
        if self._alone:
            return
        for item in mailbox.held():
            message = item.message
            if message.kind is Kind.ACCEPT and message.record is not None and item.origin is None:
                self._calls.joined(message.call, item.sender, mailbox.key, connected=True, now=now)

    def claim(self, mailbox: Mailbox, live: Live, now: float) -> None:
        """A device says which calls go on."""
        for claim in live.calls:
            try:
                peer = DeviceKey(local_user(claim.peer, self._server), claim.device)
            except Refused:
                self._counters.claims_refused += 1
            else:
                self._calls.claimed(mailbox.key, claim.call, claim.record, peer, now, over=claim.over)

    def _is_elsewhere(self, receiver: Mailbox | None) -> bool:
        return not self._alone and (receiver is None or receiver.session is None)
