"""The other nodes: how they meet, lose each other and agree on a lane, over a bus that a test holds in its hands."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous_signaling.cluster.envelopes import VERSION, Bell, Expelled, Frame, pack_frame, unpack_frame
from entrenous_signaling.cluster.peers import (
    ALIVE_SECONDS,
    DEAF_SECONDS,
    LOST_SECONDS,
    MAX_NODES,
    Carried,
    Event,
    Lost,
    Met,
    Peers,
)
from entrenous_signaling.outputs import Outbox, Publish

NOW = 1_000.0


class Node:
    """A node and what it hears."""

    def __init__(self, number: int, now: float = NOW, *, connected: bool = True) -> None:
        self.name = number.to_bytes(8, "big")
        self.outbox = Outbox()
        self.peers = Peers(self.name, self.outbox, now)
        self.heard: list[Event] = []
        if connected:
            self.peers.connected(now)

    def say(self, now: float) -> list[Publish]:
        """Everything that is due, as it goes onto the bus."""
        self.heard += self.peers.tick(now)
        self.peers.flush(now)
        return [output for output in self.outbox.take() if isinstance(output, Publish)]

    def hear(self, payload: bytes, now: float) -> None:
        self.heard += self.peers.receive(payload, now)

    def take(self) -> list[Event]:
        heard, self.heard = self.heard, []
        return heard

    def told(self) -> list[str]:
        """The names of accounts in what it was told, in order."""
        return [
            event.envelope.username
            for event in self.heard
            if isinstance(event, Carried) and isinstance(event.envelope, Expelled)
        ]


def carry(nodes: tuple[Node, ...], now: float, rounds: int = 6) -> None:
    """Hand everything on at once, until nobody has anything to say any more."""
    for _ in range(rounds):
        for node in nodes:
            for target, payload in [(one.node, one.payload) for one in node.say(now)]:
                for other in nodes:
                    if other is not node and target in (None, other.name):
                        other.hear(payload, now)


def meet() -> tuple[Node, Node]:
    """Two that have met, and have said something to each other."""
    one, two = Node(1), Node(2)
    carry((one, two), NOW)
    for node, other in ((one, two), (two, one)):
        assert node.take() == [Met(other.name)]
        node.peers.send(other.name, Expelled("hello"))
    carry((one, two), NOW)
    for node, other in ((one, two), (two, one)):
        events = node.take()
        assert events[-1] == Carried(other.name, Expelled("hello")) or Lost(other.name) in events
    one.peers.lost = two.peers.lost = 0
    for node, other in ((one, two), (two, one)):
        node.peers.send(other.name, Expelled("again"))
    carry((one, two), NOW)
    one.take(), two.take()
    return one, two


def test_nodes_meet_and_what_they_say_arrives() -> None:
    one, two = meet()
    one.peers.send(two.name, Expelled("bob"))
    one.peers.send_all(Bell("eve", "e" * 16))
    carry((one, two), NOW)
    assert two.take() == [Carried(one.name, Expelled("bob")), Carried(one.name, Bell("eve", "e" * 16))]
    assert (len(one.peers), two.name in one.peers, one.name in one.peers) == (1, True, False)
    assert (one.peers.dropped, two.peers.dropped, one.peers.lost, two.peers.lost) == (0, 0, 0, 0)


def test_without_a_bus_nothing_is_said_and_nothing_is_due() -> None:
    node = Node(1, connected=False)
    assert (node.say(NOW), node.peers.next_deadline(), node.peers.cut_off_since) == ([], None, NOW)
    node.peers.connected(NOW + 1)
    assert len(node.say(NOW + 1)) == 1
    assert node.peers.next_deadline() == NOW + 1 + ALIVE_SECONDS


def test_a_node_that_is_silent_is_lost_once_and_met_again() -> None:
    one, two = meet()
    now = NOW
    while now < NOW + LOST_SECONDS:
        now += ALIVE_SECONDS
        one.say(now)
    assert one.take() == [Lost(two.name)]
    assert (one.peers.lost, len(one.peers), one.peers.has_room(two.name)) == (1, 0, False)
    one.peers.send(two.name, Expelled("nobody-hears-it"))
    two.peers.tick(now)  # it has slept, and lost nobody
    carry((one, two), now)
    one.peers.send(two.name, Expelled("bob"))
    carry((one, two), now)
    assert [event for event in one.take() if isinstance(event, Met)] == [Met(two.name)]
    events = two.take()
    assert events[:2] == [Lost(one.name), Met(one.name)], "one has given two up, and two is told"
    assert events[-1] == Carried(one.name, Expelled("bob"))
    assert len(two.peers) == 1


def hear_only(one: Node, two: Node, begin: float, seconds: float) -> float:
    """One hears that two is alive, and two hears nothing; returns when that is over."""
    now = begin
    while now < begin + seconds:
        now += ALIVE_SECONDS
        one.say(now)
        for output in two.say(now):
            if output.node is None:
                one.hear(output.payload, now)
    return now


def test_a_node_that_is_heard_and_does_not_hear_is_lost_and_what_waits_for_it_does_not_grow() -> None:
    one, two = meet()
    one.peers.send(two.name, Expelled("not-heard"))
    now = hear_only(one, two, NOW, LOST_SECONDS)
    assert one.take() == []
    now = hear_only(one, two, now, ALIVE_SECONDS)
    assert (one.take(), list(one.peers.lanes), one.peers.lost) == ([Lost(two.name)], [], 1)
    now = hear_only(one, two, now, DEAF_SECONDS - 1.0)
    assert one.take() == [], "it would only be lost again"
    hear_only(one, two, now, 2.0)
    assert one.take() == [Met(two.name)]


def test_a_node_that_did_not_hear_is_met_when_it_does() -> None:
    one, two = meet()
    one.peers.send(two.name, Expelled("not-heard"))
    now = hear_only(one, two, NOW, LOST_SECONDS + ALIVE_SECONDS)
    assert one.take() == [Lost(two.name)]
    now += ALIVE_SECONDS
    carry((one, two), now)
    two.peers.send(one.name, Expelled("two-has-heard-one"))
    carry((one, two), now)
    assert Met(two.name) in one.heard
    assert one.told() == ["two-has-heard-one"]


def test_a_node_that_could_not_answer_is_not_deaf() -> None:
    one, two = meet()
    one.peers.send(two.name, Expelled("before-the-bus-was-gone"))
    one.say(NOW)
    one.peers.disconnected(NOW + 0.1)
    hear_only(one, two, NOW, LOST_SECONDS - ALIVE_SECONDS)
    now = NOW + LOST_SECONDS
    one.peers.connected(now)
    carry((one, two), now)
    assert (one.take(), two.told()) == ([], ["before-the-bus-was-gone"])
    one.peers.send(two.name, Expelled("before-one-slept"))
    one.say(now)
    now += 60.0
    two.peers.tick(now)
    carry((one, two), now)
    assert (one.take(), two.told()[-1]) == ([], "before-one-slept")


def test_what_was_in_a_lane_that_was_given_up_is_void() -> None:
    one, two = meet()
    two.peers.send(one.name, Expelled("old"))
    late = [output.payload for output in two.say(NOW)]
    for second in range(1, 7):
        one.say(NOW + second)
    now = NOW + 7
    for payload in late:
        one.hear(payload, now)
    assert one.told() == [], "a lane that is gone is not taken up in its middle"
    carry((one, two), now)
    two.peers.send(one.name, Expelled("new"))
    carry((one, two), now)
    assert one.told() == ["new"]


def test_a_node_that_slept_gives_nobody_up_for_it() -> None:
    one, two = meet()
    one.say(NOW + 1)
    one.say(NOW + 60)
    assert (one.take(), len(one.peers)) == ([], 1)
    assert two.peers.node not in [event.node for event in one.take()]


def test_a_node_that_is_cut_off_gives_the_others_up_after_a_while() -> None:
    one, two = meet()
    one.peers.disconnected(NOW + 1)
    one.peers.disconnected(NOW + 2)
    assert one.peers.cut_off_since == NOW + 1
    assert one.peers.next_deadline() == NOW + LOST_SECONDS
    assert one.say(NOW + LOST_SECONDS) == []
    assert one.take() == [Lost(two.name)]
    assert one.peers.next_deadline() is None


def test_what_was_said_while_the_bus_was_gone_is_said_after_it() -> None:
    one, two = meet()
    one.peers.send(two.name, Expelled("lost-on-the-way"))
    one.say(NOW)
    one.peers.disconnected(NOW)
    one.peers.send(two.name, Expelled("said-in-between"))
    assert one.say(NOW + 0.05) == []
    one.peers.connected(NOW + 0.1)
    carry((one, two), NOW + 0.1)
    assert two.told() == ["lost-on-the-way", "said-in-between"]


def test_a_node_that_leaves_is_lost_at_once() -> None:
    one, two = meet()
    assert one.peers.leave(two.name) == [Lost(two.name)]
    assert one.peers.leave(two.name) == []
    two.peers.stop(NOW)
    two.outbox.take()
    assert (two.say(NOW + 10), two.peers.next_deadline()) == ([], None)


def test_a_node_that_has_gone_answers_nothing_that_comes_late() -> None:
    one, two = meet()
    two.peers.stop(NOW)
    two.outbox.take()
    one.peers.send(two.name, Expelled("too late"))
    for said in one.say(NOW):
        two.hear(said.payload, NOW)
    assert (two.take(), two.outbox.take()) == ([], [])


def test_what_is_wrong_is_counted_and_our_own_voice_is_not() -> None:
    node = Node(1)
    node.hear(b"rubbish", NOW)
    node.hear(pack_frame(Frame(VERSION, bytes(8), NOW - 60)), NOW)
    assert (node.peers.dropped, node.take()) == (2, [])
    node.hear(pack_frame(Frame(VERSION, node.name, NOW)), NOW)
    assert (node.peers.dropped, node.take()) == (2, [])


def test_a_lane_from_far_ahead_is_none_and_ours_stay_such_as_others_take() -> None:
    node = Node(1)
    node.hear(pack_frame(Frame(VERSION, bytes(8), NOW, 2**53, 1)), NOW)
    assert (node.peers.dropped, node.take(), len(node.peers)) == (1, [], 0)
    node.hear(pack_frame(Frame(VERSION, bytes(8), NOW)), NOW)
    (lane,) = node.peers.lanes
    assert lane.epoch == int(NOW * 1000)


def test_so_many_nodes_and_no_more_are_listened_to() -> None:
    node = Node(0)
    for number in range(1, MAX_NODES + 10):
        node.hear(pack_frame(Frame(VERSION, number.to_bytes(8, "big"), NOW)), NOW)
    assert (len(node.peers), node.peers.dropped) == (MAX_NODES, 9)


def test_a_frame_of_an_older_lane_is_answered_with_the_newer_one() -> None:
    one, two = meet()
    epoch = next(one.peers.lanes).epoch
    one.hear(pack_frame(Frame(VERSION, two.name, NOW, epoch - 1, 1, 0)), NOW)
    (answer,) = [output for output in one.outbox.take() if isinstance(output, Publish)]
    assert (answer.node, unpack_frame(answer.payload, NOW).lane) == (two.name, epoch)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_whatever_the_bus_does_all_agree_in_the_end(seed: int) -> None:
    """Loss, repetition, silence and reordering for half a minute; then, over a good bus, everything arrives."""
    lots, now = random.Random(seed), NOW
    nodes = (Node(1), Node(2), Node(3))
    by_name = {node.name: node for node in nodes}
    flying: list[tuple[float, bytes, bytes]] = []
    while now < NOW + 45.0:
        now += 0.05
        bad = now < NOW + 30.0
        silent = lots.choice(nodes).name if bad and int(now) % 10 < 7 else None
        for node in nodes:
            if bad and lots.random() < 0.05:
                node.peers.send_all(Expelled("noise"))
            for output in node.say(now):
                for name in by_name if output.node is None else [output.node]:
                    if bad and (silent in (name, node.name) or lots.random() < 0.3):
                        continue
                    for _ in range(lots.choice((1, 2)) if bad else 1):
                        flying.append((now + lots.uniform(0.0, 0.4 if bad else 0.01), name, output.payload))
        arrived = sorted(one for one in flying if one[0] <= now)
        flying = [one for one in flying if one[0] > now]
        for _, name, payload in arrived:
            by_name[name].hear(payload, now)
        if abs(now - (NOW + 40.0)) < 0.01:
            for node in nodes:
                node.take()
                node.peers.send_all(Expelled(f"from-{node.name[-1]}"))
    for node in nodes:
        assert len(node.peers) == 2
        assert sorted(node.told()) == sorted(f"from-{other.name[-1]}" for other in nodes if other is not node)
        assert not any(isinstance(event, Lost | Met) for event in node.take())
    epochs = [sorted(lane.epoch for lane in node.peers.lanes) for node in nodes]
    assert len({epoch for two in epochs for epoch in two}) <= 3
