"""What a session carries: messages on their way and arrived, what is stored, and the call records that go with them.

The session says it and hears it, and knows when; what it means is worked out here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from entrenous_wire.messages import (
    Accepted,
    Ack,
    Deliver,
    Delivered,
    Error,
    ErrorCode,
    Kind,
    Letter,
    Live,
    LiveCall,
    NoLetters,
    Send,
)

from .credentials import sentence_of
from .inbox import Inbox
from .outbox import Outbox
from .records import Records
from .session_outputs import Arrived, LetterArrived, NothingStored, SendDelivered, SendFailed, SessionOutput, Transmit

Carried = Accepted | Delivered | Deliver | Letter | NoLetters
"""What the server says of messages."""


class Mail:
    """The messages of one session, over as many connections as it takes.

    Args:
        hold_seconds: how long a message is kept and said again.
        tell: takes what follows.
    """

    def __init__(self, hold_seconds: float, tell: Callable[[SessionOutput], None]) -> None:
        self._tell = tell
        self._outbox = Outbox(hold_seconds)
        self._inbox = Inbox()
        self._records = Records()

    @property
    def held(self) -> int:
        """Messages that are not delivered yet."""
        return len(self._outbox)

    @property
    def last_seq(self) -> int:
        """The highest sequence number that has arrived in this session."""
        return self._inbox.last_seq

    def holds_for(self, to: str, device: str) -> bool:
        """Whether a message of a call to that device is not delivered yet."""
        return self._outbox.holds_for((to, device))

    def next_deadline(self) -> float | None:
        """When a message expires, a refusal is over, or something is to be acknowledged, or None."""
        times = (self._outbox.next_deadline(), self._inbox.ack_at)
        return min((at for at in times if at is not None), default=None)

    # --- what is sent ---

    def hold(self, message: Send, now: float) -> None:
        """Keep a message until it is settled; it fails when there is no room."""
        if not self._outbox.hold(message, now):
            self._tell(SendFailed(message.id, ErrorCode.TOO_MANY, "Too many messages wait for the server."))

    def say(self, now: float) -> None:
        """Say what may be said now and is not yet, in order."""
        for message in self._outbox.take_sayable(now):
            self._tell(Transmit(message))

    def refused(self, message_id: bytes, error: Error, again_at: float | None) -> None:
        """The server refused a message: for now when there is a time to say it again, else for good."""
        if again_at is not None and self._outbox.refuse(message_id, again_at):
            return
        if self._outbox.settle(message_id):
            self._fail(message_id, error.code, sentence_of(error))

    def fail_expired(self, now: float, sentence: str) -> None:
        """Give up what was kept for too long, everything when `now` is infinite."""
        for message in self._outbox.take_expired(now):
            self._fail(message.id, ErrorCode.UNAVAILABLE, sentence)

    # --- what the server says ---

    def take(self, message: Carried, now: float) -> None:
        """What the server says of messages; it may say it twice of those that were said twice."""
        match message:
            case Accepted(id=message_id, record=record):
                sent = self._outbox.confirm(message_id)
                if sent is not None and sent.kind is Kind.MESSAGE:
                    self._settle(message_id)
                elif sent is not None and record is not None:
                    self._records.open(LiveCall(call=sent.call, record=record, peer=sent.to, device=sent.device))
            case Delivered(ids=message_ids):
                for message_id in message_ids:
                    self._settle(message_id)
            case Deliver():
                self._arrive(message, now)
            case Letter():
                self._tell(LetterArrived(message))
            case NoLetters():
                self._tell(NothingStored())
            case _:
                assert_never(message)

    def acknowledge(self, now: float) -> None:
        """Say what has arrived, if it is time for that; whatever was not said, when `now` is infinite."""
        seq = self._inbox.take_ack(now)
        if seq is not None:
            self._tell(Transmit(Ack(seq=seq)))

    def acknowledge_again(self, at: float) -> None:
        """What the server refused for now may have been what was acknowledged last: say it again."""
        self._inbox.acknowledge_at(at)

    # --- connections and calls ---

    def rewind(self) -> None:
        """Count everything as unsaid: the connection is gone, and the next one begins with what has arrived."""
        self._outbox.rewind()
        self._inbox.rewind()

    def welcomed(self, *, resumed: bool) -> None:
        """The session stands: claim the records of live calls before anything is said again.

        Also after a resume: nothing tells whether the claim after the login before it got through.
        """
        if not resumed:
            self._inbox.start_afresh()
        live = self._records.live()
        if live:
            self._tell(Transmit(Live(calls=live)))

    def call_finished(self, call: bytes) -> None:
        """Stop claiming a call's record once its `end`, if there is one, is out; see `Session.call_finished`."""
        for accept in self._outbox.take_accepts(call, confirmed_only=self._outbox.holds_end(call)):
            self._tell(SendFailed(accept.id, ErrorCode.OFFLINE, "The call is over."))
        self._records.finish(call)
        self._records.tidy(self._outbox)

    def _arrive(self, message: Deliver, now: float) -> None:
        if self._inbox.arrive(message, now):
            if message.record is not None:
                self._records.open(
                    LiveCall(call=message.call, record=message.record, peer=message.sender, device=message.device)
                )
            if message.kind is Kind.END:
                self._records.ended_by(message.call, message.sender, message.device)
            self._tell(Arrived(message))
        self.acknowledge(now)

    def _settle(self, message_id: bytes) -> None:
        if self._outbox.settle(message_id):
            self._tell(SendDelivered(message_id))
            self._records.tidy(self._outbox)

    def _fail(self, message_id: bytes, code: ErrorCode, sentence: str) -> None:
        self._tell(SendFailed(message_id, code, sentence))
        self._records.tidy(self._outbox)
