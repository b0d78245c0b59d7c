"""Stored messages while senders, receivers, server and store fail as they like: none is lost, none comes twice."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from entrenous_signaling.retention import MessageSettings
from entrenous_signaling.settings import HubSettings
from entrenous_wire.limits import LETTERS_IN_FLIGHT
from entrenous_wire.messages import (
    Accepted,
    Error,
    Letter,
    Taken,
    Welcome,
)
from world.hubworld import ALICE, BOB, BOB_PHONE, EVE, SERVER, HubNode, HubWorld, stored
from world.wirenode import Account

DAY = 86_400.0
SENDERS = (ALICE, EVE)
RECEIVERS = (BOB, BOB_PHONE)


@dataclass
class Receiver:
    """The application behind a device: takes each id once, and remembers over its own crashes."""

    account: Account
    node: HubNode | None = None
    application: list[bytes] = field(default_factory=list)

    def listen(self, count: int = 1000) -> None:
        """Take the first so many of what was said; the rest is still in the socket, and lost with it."""
        if self.node is None:
            return
        heard, self.node.heard = self.node.heard[:count], self.node.heard[count:]
        for message in heard:
            if isinstance(message, Letter) and message.id not in self.application:
                self.application.append(message.id)


class StoredMessages(RuleBasedStateMachine):
    """Senders say a message until it is accepted; receivers, servers and the store fail as they like."""

    def __init__(self) -> None:
        super().__init__()
        self.world = HubWorld(
            HubSettings(name=SERVER, message_key=bytes(32), messages=MessageSettings(per_receiver=40, days=1))
        )
        self.receivers = [Receiver(account) for account in RECEIVERS]
        self.senders: dict[str, HubNode | None] = {sender.username: None for sender in SENDERS}
        self.unanswered: dict[bytes, tuple[Account, int, Account]] = {}
        self.accepted: dict[bytes, tuple[float, Receiver]] = {}
        self.count = 0
        for account in (*SENDERS, BOB):
            self.world.register(account).drop()
        self.world.login(BOB_PHONE)[0].drop()

    def _online(self, account: Account) -> HubNode | None:
        node, hello = self.world.connect()
        node.say(account.login(hello))
        return node if isinstance(next(iter(node.heard), None), Welcome) else None

    def _sender(self, account: Account) -> HubNode | None:
        node = self.senders[account.username]
        if node is None or node.closed is not None:
            node = self.senders[account.username] = self._online(account)
        return node

    def _listen(self) -> None:
        for node in self.senders.values():
            for message in [] if node is None else node.hear_all():
                if isinstance(message, Accepted) and message.id in self.unanswered:
                    _, _, to = self.unanswered.pop(message.id)
                    receiver = self.receivers[RECEIVERS.index(to)]
                    self.accepted[message.id] = (self.world.now, receiver)
                elif isinstance(message, Error) and message.id is not None and message.retry_after is None:
                    self.unanswered.pop(message.id, None)

    @rule(
        sender=st.sampled_from(SENDERS),
        to=st.sampled_from(RECEIVERS),
        size=st.sampled_from([1024, 49152]),
        many=st.integers(1, 12),
    )
    def say(self, sender: Account, to: Account, size: int, many: int) -> None:
        node = self._sender(sender)
        for _ in range(many):
            self.count += 1
            message = sender.message(self.count, to, size)
            self.unanswered[message.id] = (sender, self.count, to)
            if node is not None:
                node.say(message)

    @rule()
    def say_again(self) -> None:
        for sender, number, to in list(self.unanswered.values()):
            node = self._sender(sender)
            if node is not None:
                node.say(sender.message(number, to))

    @rule(which=st.integers(0, 1))
    def come(self, which: int) -> None:
        receiver = self.receivers[which]
        receiver.listen()
        node, hello = self.world.connect()
        receiver.node = node.say(receiver.account.login(hello))

    @precondition(lambda self: any(receiver.node is not None for receiver in self.receivers))
    @rule(which=st.integers(0, 1), heard=st.booleans())
    def crash(self, which: int, heard: bool) -> None:
        receiver = self.receivers[which]
        if receiver.node is not None:
            if heard:
                receiver.listen()
            if receiver.node.closed is None and receiver.node.number in self.world.nodes:
                receiver.node.drop()
            receiver.node = None

    @rule(which=st.integers(0, 1), share=st.integers(1, 20))
    def take(self, which: int, share: int) -> None:
        """The application hears some of what has come, and says that it has it."""
        receiver = self.receivers[which]
        receiver.listen(share)
        if receiver.node is None or receiver.node.closed is not None:
            return
        waiting = {message.id for message in stored(self.world)}
        mine = [id_ for id_ in receiver.application if id_ in waiting][:share]
        if mine:
            receiver.node.say(Taken(ids=mine))

    @rule()
    def kill(self) -> None:
        self._listen()
        for receiver in self.receivers:
            receiver.node = None
        self.senders = dict.fromkeys(self.senders)
        self.world.kill_and_restart()

    @rule(fails=st.booleans(), waits=st.booleans())
    def store(self, fails: bool, waits: bool) -> None:
        self.world.store_fails, self.world.store_waits = fails, waits
        if not waits:
            self.world.answer_store()

    @rule(seconds=st.sampled_from([1.0, 70.0, 7200.0, 90_000.0]))
    def wait(self, seconds: float) -> None:
        self._listen()
        self.world.advance(seconds)

    @invariant()
    def nothing_accepted_is_lost_before_its_time(self) -> None:
        self._listen()
        waiting = {message.id for message in stored(self.world)}
        for id_, (at, receiver) in self.accepted.items():
            assert id_ in waiting or id_ in receiver.application or self.world.now >= at + DAY

    def teardown(self) -> None:
        self._listen()
        self.world.store_fails = self.world.store_waits = False
        self.world.answer_store()
        self.world.advance(2.0)
        for receiver in self.receivers:
            node, _ = self.world.login(receiver.account)
            receiver.node = node
            for _ in range(100):
                heard = [message.id for message in node.heard if isinstance(message, Letter)]
                assert len(heard) <= LETTERS_IN_FLIGHT
                receiver.listen()
                if not heard:
                    break
                node.say(Taken(ids=heard))
            assert node.read_all == 1
            assert len(set(receiver.application)) == len(receiver.application)
        assert not stored(self.world)
        for id_, (at, receiver) in self.accepted.items():
            assert id_ in receiver.application or self.world.now >= at + DAY


TestStoredMessages = StoredMessages.TestCase
TestStoredMessages.settings = hypothesis_settings(max_examples=80, stateful_step_count=40, deadline=None)
