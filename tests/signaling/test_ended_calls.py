"""Calls that have ended are known again, and tell nobody who was in them."""

from __future__ import annotations

from entrenous_signaling.ended_calls import EndedCalls
from entrenous_signaling.mailbox import DeviceKey
from world.reach import reachable

CALL, OTHER = b"c" * 16, b"o" * 16
ALICE, BOB, PHONE = DeviceKey("alice", "a" * 16), DeviceKey("bob", "b" * 16), DeviceKey("bob", "c" * 16)


def test_a_call_and_its_pairs_are_known_each_by_itself() -> None:
    ended = EndedCalls(10)
    ended.add_pair(CALL, (ALICE, BOB))
    assert ended.has_pair(CALL, frozenset((BOB, ALICE)))
    assert not ended.has_pair(CALL, (ALICE, PHONE))
    assert not ended.has_pair(OTHER, (ALICE, BOB))
    assert not ended.has(CALL)
    ended.add(CALL)
    assert (ended.has(CALL), ended.has(OTHER)) == (True, False)


def test_who_has_cancelled_is_known_and_not_whom_it_told() -> None:
    ended = EndedCalls(10)
    ended.add_cancelled(CALL, ALICE)
    assert ended.was_cancelled(CALL, ALICE)
    assert not ended.was_cancelled(CALL, BOB)
    assert not ended.was_cancelled(OTHER, ALICE)
    assert not ended.has(CALL)


def test_the_oldest_are_forgotten() -> None:
    ended = EndedCalls(2)
    calls = [bytes([number]) * 16 for number in range(3)]
    for call in calls:
        ended.add(call)
        ended.add_pair(call, (ALICE, BOB))
        ended.add_cancelled(call, ALICE)
    assert [ended.has(call) for call in calls] == [False, True, True]
    assert [ended.has_pair(call, (ALICE, BOB)) for call in calls] == [False, True, True]
    assert [ended.was_cancelled(call, ALICE) for call in calls] == [False, True, True]


def test_neither_a_call_nor_a_device_can_be_read_off() -> None:
    ended = EndedCalls(10)
    ended.add(CALL)
    ended.add_pair(CALL, (ALICE, BOB))
    ended.add_cancelled(CALL, ALICE)
    found = [value for _, value in reachable(ended)]
    assert len(found) == 3
    assert not {CALL, *ALICE, *BOB} & set(found)
