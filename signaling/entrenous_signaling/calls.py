"""The call record rule: one record a call, with its start and its duration, exactly once.

The truth is the row in the database: token, start, and when one of the call's devices was last seen. A node of the
server that carries such a device keeps the row alive; what is here is which devices those are::

    accept ──> row is there ──last end of its pairs──> closed at that time
                    │ a device starts afresh and does not claim the call: closed at the time that one was last seen
                    │ nobody keeps it alive for the grace: some node sweeps it up, closed at the time last seen
                    └ its node is killed: devices claim their calls at another, or the same, or it is swept up

The token follows from the call id, so that all nodes mean the same row without having to agree. The caller is told
another, so that whoever claims a call at a node that knows nothing of it says by that who called.

A call's *pair* is the device that accepted and the device that called. When two devices of the callee accept at the
same moment, both pairs belong to the record, and the caller's `end` to the one that lost takes only that pair out;
an `end` to a device that never accepted touches nothing. So where the two ends of a pair are on two nodes, it is the
caller's that closes the record; the other notes when the call ended, and lets go of it. An `end` that the server takes
only later, since too much is said at a time, ends the record when it is said first; and so does a claim of a call of
which the device says that it is over, whose `end` may get lost behind it.

An accept that comes after the caller has cancelled the call leaves no record: the caller's node takes its row away. It
has to be sure that no other device of the callee talks under that row, and so does it only where the caller itself has
said that it is over, and where nothing was ever known of a call that goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from entrenous_wire.messages import ErrorCode

from .auth import Refused
from .call_presence import CallPresence
from .call_rows import CallRows, Kept, Tell, Waiter
from .call_tokens import CallTokens
from .clock_watch import ClockWatch
from .counters import Counters
from .ended_calls import EndedCalls
from .mailbox import DeviceKey
from .open_calls import OpenCall, OpenCalls, Pair, Row
from .outputs import Outbox
from .store.requests import Failed, OpenRecord, RecordState, StoreResult
from .timers import earliest

ENDED_REMEMBERED: Final = 10_000
"""Calls, and pairs of calls, that have ended and are remembered, so that an accept that comes late (it crossed the
end, or is said again) opens no record that nobody would close."""


class CallRecords:
    """Opens, keeps and closes the records of calls of which a device is on this node.

    Args:
        outbox: where store requests go.
        tell: told about each message that waited for a record what became of that.
        key: the secret of the server, the same on all its nodes, from which tokens are made.
        grace_seconds: how long a call waits for its ends.
        per_account: records that the devices of one account may have open on this node.
        counters: what is counted.
        now: Unix seconds.
        shared: whether other nodes open and keep records in the same database.
    """

    def __init__(
        self,
        outbox: Outbox,
        tell: Tell,
        *,
        key: bytes,
        grace_seconds: float,
        per_account: int,
        counters: Counters,
        now: float,
        shared: bool = False,
    ) -> None:
        self._tell = tell
        self.tokens = CallTokens(key)
        """What devices are told of records."""
        self._shared = shared
        self._per_account = per_account
        self._counters = counters
        self._open = OpenCalls()
        self._owed: set[bytes] = set()  # calls that go on, and whose records could not be opened at the last attempt
        self._ended = EndedCalls(ENDED_REMEMBERED)
        self._let_go = EndedCalls(ENDED_REMEMBERED)
        self.clock = ClockWatch(outbox, now, shared=shared)
        """Whether this node sweeps up what others have left."""
        self._rows = CallRows(
            outbox, tell, self._swept, grace_seconds=grace_seconds, now=now, shared=shared, clock=self.clock
        )
        self._presence = CallPresence(self._open, self._rows, self._forgotten_by)

    @property
    def open_count(self) -> int:
        """Records that are open, and of which this node knows."""
        return len(self._open)

    @property
    def failing(self) -> bool:
        """Whether a record could not be opened or closed on disk at the last attempt."""
        return bool(self._owed) or self._rows.failing

    # --- what devices say of calls ---

    def accepted(
        self,
        call: bytes,
        sender: DeviceKey,
        receiver: DeviceKey,
        *,
        connected: bool,
        waiter: Waiter,
        now: float,
        elsewhere: bool = False,
    ) -> bytes | None:
        """A device of this node accepts: open the record, or join the open one.

        Args:
            call: the call id.
            sender: the device that accepts, which is connected.
            receiver: the device that called.
            connected: whether the receiver is connected to this node now.
            waiter: the message to answer when the record is on disk.
            now: Unix seconds.
            elsewhere: whether the receiver is a device of another node, which is told with `joined`.

        Returns:
            The token for the sender, with `tell` to follow for `waiter`; or None when the message has to do with no
            record (the call has ended, or belongs to others) and nothing follows.

        Raises:
            Refused: `too-many`, when the account of the sender has as many records open as it may have.
        """
        pair = frozenset((sender, receiver))
        if self._ended.has(call) or self._ended.has_pair(call, pair):
            return None
        found = self._open.find(call)
        if found is None:
            if self._open.count(sender.username) >= self._per_account:
                raise Refused(ErrorCode.TOO_MANY, "The account is in as many calls as it may be.")
            found = self._add(call, sender.username, receiver, Row.UNSTORED, now)
        if not self._open.join(found, pair):
            return None
        if found.row is Row.CLAIMED:
            found.row = Row.UNSTORED
        found.caller = receiver
        self._presence.enter(found, sender, now)
        if connected:
            self._presence.enter(found, receiver, now)
        self._wait_for_opening(found, waiter)
        return found.token

    def joined(
        self, call: bytes, sender: DeviceKey, receiver: DeviceKey, *, connected: bool, now: float
    ) -> bytes | None:
        """A device of another node, which opens the record, has accepted a call of a device of this one.

        The arguments are those of `accepted`. It may be asked again.

        Returns:
            The token for the receiver, or None when the message has to do with no record.
        """
        pair = frozenset((sender, receiver))
        found = self._open.find(call)
        if self._ended.has(call):
            return None
        if self._ended.has_pair(call, pair):
            if found is None and self._ended.was_cancelled(call, receiver) and not self._let_go.has(call):
                self._rows.discard(self.tokens.of_row(call), now)
            return None
        if found is None:
            # The node that opens the row may not reach the database before the end is said here.
            found = self._add(call, sender.username, receiver, Row.UNSTORED, now)
        if not self._open.join(found, pair):
            return None
        found.caller = receiver
        if connected:
            self._presence.enter(found, receiver, now)
        self._presence.note_absence(found, now)
        return self.tokens.of_caller(call)

    def ended(
        self,
        call: bytes,
        sender: DeviceKey,
        receiver: DeviceKey,
        waiter: Waiter | None,
        now: float,
        *,
        elsewhere: bool = False,
    ) -> bool:
        """An end travels from one device to another: close the record if it is the last of its pairs.

        Where the two are on two nodes, both are told; the one of the caller closes the record.

        Args:
            call: the call id.
            sender, receiver: of the end.
            waiter: the message to answer when the record is on disk; None where it comes from another node.
            now: Unix seconds.
            elsewhere: whether the receiver is a device of another node.

        Returns:
            True when the answer to `waiter` has to wait for the disk; `tell` follows then.
        """
        if self._ended.has(call):
            return self._rows.wait_for_end(self.tokens.of_row(call), waiter)
        found = self._open.find(call)
        pair = frozenset((sender, receiver))
        self._ended.add_pair(call, pair)
        if found is None and waiter is not None and not self._let_go.has(call):
            self._ended.add_cancelled(call, sender)
        if found is not None and pair in found.pairs:
            self._hang_up(found, pair, now, {sender: waiter is not None, receiver: not elsewhere})
        return self._rows.wait_for_end(self.tokens.of_row(call), waiter)

    def hung_up(self, call: bytes, sender: DeviceKey, receiver: DeviceKey, now: float, *, elsewhere: bool) -> None:
        """A device of this node has an end to say, and is to say it later: the call is over all the same.

        The arguments are those of `ended`, which follows.
        """
        found = self._open.find(call)
        pair = frozenset((sender, receiver))
        if found is not None and pair in found.pairs:
            self._ended.add_pair(call, pair)
            self._hang_up(found, pair, now, {sender: True, receiver: not elsewhere})

    def retry(self, call: bytes, waiter: Waiter) -> bool:
        """A message whose record could not be stored is said again.

        Returns:
            True when the answer has to wait for the disk; `tell` follows then.
        """
        found = self._open.find(call)
        if found is not None:
            self._wait_for_opening(found, waiter)
            return True
        return self._rows.wait_for_end(self.tokens.of_row(call), waiter)

    def claimed(
        self, device: DeviceKey, call: bytes, token: bytes, peer: DeviceKey, now: float, *, over: bool = False
    ) -> None:
        """A device that has started afresh, or comes from another node, goes on with a call, or says that it is over.

        A claim of a record that is not open, or by a stranger to the call, changes nothing and is counted.
        """
        called = self.tokens.tell_who_called(token, call)
        if called is None:
            self._counters.claims_refused += 1
        else:
            self._bring(device, call, peer, device if called else peer, now)
            if over:
                self.hung_up(call, device, peer, now, elsewhere=not self._open.is_present(call, peer))

    # --- where devices are ---

    def came(self, device: DeviceKey, now: float) -> None:
        """A device has resumed its session: it is in its calls as before."""
        self._presence.came(device, now)

    def heard_of(self, call: bytes, device: DeviceKey, peer: DeviceKey, now: float, *, called: bool) -> None:
        """A device is in a call, though it could not claim it before.

        Args:
            call: the call id.
            device: that has acknowledged the accept of a peer, or says its own accept again.
            peer: the other one.
            now: Unix seconds.
            called: whether the device is the caller.
        """
        found = self._open.find(call)
        if found is None:
            if not (self._ended.has(call) or self._ended.has_pair(call, (device, peer))):
                self._bring(device, call, peer, device if called else peer, now)
        elif device in found.ends():
            self._presence.enter(found, device, now)

    def started_afresh(self, device: DeviceKey, now: float) -> None:
        """A device has logged in without resuming: it is in none of its calls until it claims them."""
        self._presence.started_afresh(device, now)

    def left(self, device: DeviceKey, now: float) -> None:
        """A device is not connected any more."""
        self._presence.left(device, now)

    def moved(self, device: DeviceKey, now: float) -> None:
        """A device has its session at another node now: it claims its calls there, and they may end there."""
        self.left(device, now)
        for found in list(self._open.of_device(device)):
            self._presence.expect_no_claim(found, device)
            if not found.present and not found.waiters:
                self._take_out(found, set(found.pairs))

    def touch(self, now: float) -> None:
        """Note on disk that the calls that go on were alive now, and of the others when they were."""
        self._presence.touch(now)

    def next_deadline(self) -> float | None:
        """When `tick` has something to do, or None."""
        return earliest(self._presence.next_deadline(), self._rows.next_deadline(), self.clock.next_deadline())

    def tick(self, now: float) -> None:
        """Do what is due."""
        self._presence.tick(now)
        self._rows.tick(now)
        self.clock.tick(now)

    def _bring(self, device: DeviceKey, call: bytes, peer: DeviceKey, caller: DeviceKey, now: float) -> None:
        """A device is in a call with a peer, of which this node may not know."""
        pair = frozenset((device, peer))
        found = self._open.find(call)
        refused = self._ended.has(call) or self._ended.has_pair(call, pair)
        if found is None and not refused:
            found = self._add(call, device.username, caller, Row.CLAIMED, now)
            found.bring(now)
        elif found is not None:
            refused = refused or not found.is_between(device, peer)
        if found is None or refused or not self._open.join(found, pair):
            self._counters.claims_refused += 1
            return
        self._presence.enter(found, device, now)
        if found.row is Row.CLAIMED:
            self._rows.claim(found.token, now, lambda result, at: self._claim_answered(found, result))

    def _wait_for_opening(self, found: OpenCall, waiter: Waiter) -> None:
        found.waiters.append(waiter)
        if len(found.waiters) == 1:
            self._rows.open(found.token, found.start, lambda result, now: self._opened(found, result))

    def _opened(self, found: OpenCall, result: StoreResult | Failed) -> None:
        kept = Kept.STORED
        self._owed.discard(found.call)
        if isinstance(result, Failed):
            kept = Kept.FAILED
            if self._open.find(found.call) is found:
                self._owed.add(found.call)
        elif result is RecordState.OPEN:
            found.row = Row.STORED
        else:
            kept = Kept.OVER
            self._take_out(found, set(found.pairs))
        waiters, found.waiters = found.waiters, []
        for waiter in waiters:
            self._tell(waiter, kept)

    def _claim_answered(self, found: OpenCall, result: StoreResult | Failed) -> None:
        over = result is RecordState.OVER
        self._counters.claims_refused += over
        if found.row is Row.CLAIMED and over:
            self._take_out(found, set(found.pairs))
        elif found.row is Row.CLAIMED:  # also when the database cannot say: the token was right
            found.row = Row.STORED

    def _swept(self, seen_before: int) -> None:
        """Forget the calls that had no device here for the grace: their rows are gone, or others keep them alive."""
        for found in self._open:
            if found.gone_since is None:
                continue
            if found.gone_since >= seen_before:
                self._rows.expect_sweep(int(found.gone_since))
            elif found.row is Row.UNSTORED:
                self._end(found, set(found.pairs), found.gone_since, closes=not self._shared)
            else:
                self._take_out(found, set(found.pairs))

    def _add(self, call: bytes, account: str, caller: DeviceKey, row: Row, now: float) -> OpenCall:
        if not self._open:
            self._presence.begin(now)
        found = OpenCall(call, self.tokens.of_row(call), int(now), account, row, caller)
        self._open.add(found)
        return found

    def _forgotten_by(self, found: OpenCall, device: DeviceKey) -> None:
        """A device that started afresh has not claimed this call: its pairs are over since it was last seen."""
        over = {pair for pair in found.pairs if device in pair}
        self._end(found, over, found.left_at[device], closes=not self._shared)

    def _hang_up(self, found: OpenCall, pair: Pair, now: float, is_here: Mapping[DeviceKey, bool]) -> None:
        """A pair is over by its own word; only the node of the caller knows all pairs, and so closes the record."""
        self._end(found, {pair}, now, closes=is_here.get(found.caller, False) or not self._shared)

    def _end(self, found: OpenCall, over: set[Pair], at: float, *, closes: bool) -> None:
        """Pairs of a call are over; its record is closed with the last of them."""
        self._take_out(found, over)
        if found.pairs:
            self._presence.note_absence(found, at)
            return
        opening = OpenRecord(found.token, found.start) if found.row is Row.UNSTORED else None
        if closes:
            self._ended.add(found.call)
        end = found.last_word(at, self._rows.fresh_since, closes=closes)
        self._rows.end(end, found.token, opening, at)

    def _take_out(self, found: OpenCall, over: set[Pair]) -> None:
        for device in self._open.take_out(found, over):
            self._presence.expect_no_claim(found, device)
        if not found.pairs:
            self._owed.discard(found.call)
            self._let_go.add(found.call)
            self._presence.over(found)
        if not self._open:
            self._presence.end()
