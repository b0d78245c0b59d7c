"""Calls between two nodes: one record, whoever accepts, ends, moves or dies where."""

from __future__ import annotations

from entrenous_signaling.cluster.peers import LOST_SECONDS
from entrenous_wire.limits import SESSION_GRACE_SECONDS
from entrenous_wire.messages import Accepted, Ack, Deliver, Kind, Live, LiveCall, Welcome
from world.hubworld import ALICE, BOB, BOB_PHONE, CALL, HubNode
from world.manyhubs import ManyHubs, OneOfMany

TALK = 30.0
SWEPT = 2 * SESSION_GRACE_SECONDS


class Call:
    """Alice at the first of three nodes has called Bob at the second, who accepts."""

    def __init__(self) -> None:
        self.hubs = ManyHubs(3)
        self.first, self.second, self.third = self.hubs.hubs
        self.alice, self.alices = registered(self.first)
        self.bob = self.second.register(BOB)
        self.accept = BOB.send(1, ALICE, Kind.ACCEPT, CALL)
        accepted = self.bob.say(self.accept).hear(Accepted)
        assert accepted.record is not None
        self.token = accepted.record
        self.callers_token = self.first.hub._router.calls.tokens.of_caller(CALL)

    def hear_accept(self) -> Call:
        """Alice hears and acknowledges it."""
        deliver = self.alice.hear(Deliver)
        assert (deliver.kind, deliver.record) == (Kind.ACCEPT, self.callers_token)
        self.alice.say(Ack(seq=deliver.seq))
        return self

    def resume_alice(self, at: OneOfMany, *, claims: bool = True) -> HubNode:
        """Alice takes her session up at another node."""
        self.alice.drop()
        self.alice = at.resume(self.alices)
        self.alice.hear(Welcome)
        if claims:
            self.alice.say(Live(calls=[LiveCall(CALL, self.callers_token, BOB.address, BOB.device)]))
        return self.alice

    def durations(self) -> list[int]:
        """Of the records on disk, none of which is open."""
        assert self.hubs.store.open_rows == {}
        return [duration for _, duration in self.hubs.store.records]


def registered(hub: OneOfMany) -> tuple[HubNode, Welcome]:
    node, hello = hub.connect()
    return node, node.say(ALICE.register(hello)).hear(Welcome)


def test_the_caller_ends_it() -> None:
    call = Call().hear_accept()
    call.hubs.advance(TALK)
    call.alice.say(ALICE.send(2, BOB, Kind.END, CALL))
    assert call.durations() == [TALK]


def test_the_callee_ends_it() -> None:
    call = Call().hear_accept()
    call.hubs.advance(TALK)
    call.bob.say(BOB.send(2, ALICE, Kind.END, CALL))
    assert call.durations() == [TALK]


def test_both_end_it() -> None:
    call = Call().hear_accept()
    call.hubs.advance(TALK)
    call.hubs.part(call.first, call.second)
    call.alice.say(ALICE.send(2, BOB, Kind.END, CALL))
    call.bob.say(BOB.send(2, ALICE, Kind.END, CALL))
    call.hubs.deaf.clear()
    call.hubs.advance(SWEPT)
    assert call.durations() == [TALK]


def test_the_caller_goes_on_at_a_third_node_and_ends_it_there() -> None:
    call = Call().hear_accept()
    call.resume_alice(call.third)
    call.hubs.advance(TALK)
    assert call.first.hub.open_records == 0, "it is no matter of that node any more"
    call.alice.say(ALICE.send(2, BOB, Kind.END, CALL))
    assert call.durations() == [TALK]


def test_the_caller_goes_on_at_the_node_of_the_callee() -> None:
    call = Call().hear_accept()
    call.resume_alice(call.second)
    call.hubs.advance(TALK)
    call.bob.say(BOB.send(2, ALICE, Kind.END, CALL))
    assert call.durations() == [TALK]


def test_the_caller_comes_for_an_accept_that_waits_at_the_node_of_the_callee() -> None:
    call = Call()
    call.alice.hear(Deliver)
    call.resume_alice(call.second, claims=False)
    deliver = call.alice.hear(Deliver)
    assert deliver.record == call.callers_token
    call.hubs.advance(TALK)
    call.bob.say(BOB.send(2, ALICE, Kind.END, CALL))
    assert call.durations() == [TALK]


def test_a_device_that_comes_back_to_a_node_it_left_keeps_no_call_alive_that_ended_elsewhere() -> None:
    call = Call().hear_accept()
    call.resume_alice(call.second)
    call.hubs.advance(TALK)
    call.bob.say(BOB.send(2, ALICE, Kind.END, CALL))
    call.resume_alice(call.first, claims=False)
    call.hubs.advance(10 * TALK)
    assert call.durations() == [TALK]
    assert [hub.hub.open_records for hub in call.hubs.hubs] == [0, 0, 0]


def test_the_node_of_the_caller_is_killed_and_nobody_claims_the_call() -> None:
    call = Call().hear_accept()
    call.hubs.advance(TALK)
    call.first.kill_and_restart()
    call.bob.drop()
    call.hubs.advance(SWEPT + 2 * LOST_SECONDS)
    assert call.durations() == [TALK]


def test_both_nodes_are_killed_and_both_devices_go_on_at_the_third() -> None:
    call = Call().hear_accept()
    call.first.kill_and_restart()
    call.second.kill_and_restart()
    call.hubs.advance(LOST_SECONDS + 2)
    bob, _ = call.third.login(BOB)
    bob.say(Live(calls=[LiveCall(CALL, call.token, ALICE.address, ALICE.device)]))
    alice = call.third.resume(call.alices)
    alice.hear(Welcome)
    alice.say(Live(calls=[LiveCall(CALL, call.callers_token, BOB.address, BOB.device)]))
    call.hubs.advance(TALK)
    bob.say(BOB.send(2, ALICE, Kind.END, CALL))
    assert call.durations() == [TALK + LOST_SECONDS + 2]


def test_the_node_of_the_callee_cannot_store_and_the_caller_ends_the_call() -> None:
    hubs = ManyHubs(2)
    first, second = hubs.hubs
    alice, _ = registered(first)
    bob = second.register(BOB)
    second.store_fails = True
    bob.say(BOB.send(1, ALICE, Kind.ACCEPT, CALL))
    assert alice.hear(Deliver).record is not None
    hubs.advance(TALK)
    alice.say(ALICE.send(2, BOB, Kind.END, CALL))
    second.store_fails = False
    second.kill_and_restart()
    hubs.advance(SWEPT)
    assert hubs.store.open_rows == {}
    assert [duration for _, duration in hubs.store.records] == [TALK]


def test_an_accept_that_opened_no_record_opens_none_at_the_next_node() -> None:
    hubs = ManyHubs(2)
    first, second = hubs.hubs
    alice, welcome = registered(first)
    bob = first.register(BOB)
    alice.say(ALICE.send(1, BOB, Kind.END, CALL))
    bob.say(BOB.send(1, ALICE, Kind.ACCEPT, CALL))
    deliver = alice.hear_all()[-1]
    assert isinstance(deliver, Deliver)
    assert deliver.record is None
    alice.drop()
    again = second.resume(welcome)
    again.hear(Welcome)
    assert again.hear(Deliver).record is None
    hubs.advance(SWEPT)
    assert (hubs.store.open_rows, hubs.store.records) == ({}, [])


def test_two_devices_accept_at_two_nodes_and_the_caller_takes_one() -> None:
    call = Call().hear_accept()
    phone, hello = call.third.connect()
    phone.say(BOB_PHONE.register(hello)).hear(Welcome)
    accepted = phone.say(BOB_PHONE.send(1, ALICE, Kind.ACCEPT, CALL)).hear(Accepted)
    assert accepted.record == call.token
    call.alice.say(ALICE.send(2, BOB_PHONE, Kind.END, CALL))
    assert len(call.hubs.store.open_rows) == 1
    call.hubs.advance(TALK)
    call.alice.say(ALICE.send(3, BOB, Kind.END, CALL))
    assert call.durations() == [TALK]


def test_an_accept_without_a_record_that_waited_for_the_caller_takes_no_record_away() -> None:
    call = Call().hear_accept()
    phone, hello = call.first.connect()
    phone.say(BOB_PHONE.register(hello)).hear(Welcome)
    call.alice.say(ALICE.send(2, BOB_PHONE, Kind.END, CALL))
    call.resume_alice(call.third)
    call.hubs.part(call.first, call.third)
    accepted = phone.say(BOB_PHONE.send(1, ALICE, Kind.ACCEPT, CALL)).hear_all()[-1]
    assert isinstance(accepted, Accepted)
    assert accepted.record is None
    call.resume_alice(call.first)
    call.hubs.advance(TALK)
    call.alice.say(ALICE.send(3, BOB, Kind.END, CALL))
    assert call.durations() == [TALK]
