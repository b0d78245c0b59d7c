"""The calls that go on with a device of this node."""

from __future__ import annotations

import pytest

from entrenous_signaling.mailbox import DeviceKey
from entrenous_signaling.open_calls import SURE_SECONDS, OpenCall, OpenCalls, Row
from entrenous_signaling.store.requests import CloseRecord, TouchRecords
from entrenous_wire.limits import MAX_DEVICES

ALICE, BOB, PHONE, EVE = (DeviceKey(name, device) for name, device in (("a", "1"), ("b", "1"), ("b", "2"), ("e", "1")))
WITH_BOB, WITH_PHONE = frozenset((ALICE, BOB)), frozenset((ALICE, PHONE))


@pytest.fixture
def calls() -> OpenCalls:
    return OpenCalls()


def begin(calls: OpenCalls) -> OpenCall:
    found = OpenCall(b"c", b"t", 100, "b", Row.STORED, ALICE)
    calls.add(found)
    assert calls.join(found, WITH_BOB)
    return found


def test_a_call_is_found_by_its_id_and_by_its_devices_and_counts_on_its_account(calls: OpenCalls) -> None:
    found = begin(calls)
    assert calls.find(b"c") is found
    assert list(calls.of_device(ALICE)) == list(calls.of_device(BOB)) == list(calls) == [found]
    assert (len(calls), calls.count("b"), calls.count("a")) == (1, 1, 0)


def test_pairs_join_that_have_a_device_in_common_and_only_so_many(calls: OpenCalls) -> None:
    found = begin(calls)
    assert not calls.join(found, frozenset((EVE, PHONE)))
    joined = [calls.join(found, frozenset((ALICE, DeviceKey("x", str(number))))) for number in range(MAX_DEVICES)]
    assert joined == [True] * (MAX_DEVICES - 1) + [False]
    assert calls.join(found, WITH_BOB), "it is in already"


def test_devices_are_out_with_their_last_pair_and_the_call_with_its_last_one(calls: OpenCalls) -> None:
    found = begin(calls)
    calls.join(found, WITH_PHONE)
    for device in (ALICE, BOB, PHONE):
        found.enter(device, 100.0)
    assert calls.take_out(found, {WITH_PHONE}) == {PHONE}
    assert (found.present, list(calls.of_device(PHONE)), len(calls)) == ({ALICE, BOB}, [], 1)
    assert calls.take_out(found, {WITH_BOB}) == {ALICE, BOB}
    assert (calls.find(b"c"), list(calls.of_device(ALICE)), calls.count("b")) == (None, [], 0)
    assert calls.take_out(found, set()) == set(), "again, which is late"


def test_the_last_device_to_leave_says_when_the_call_was_last_seen(calls: OpenCalls) -> None:
    found = begin(calls)
    found.enter(ALICE, 100.0)
    found.enter(BOB, 100.0)
    found.leave(ALICE, 110.5)
    assert not found.is_left(111.0)
    assert found.seen(111.0) == (b"t", 111)
    found.leave(BOB, 120.5)
    assert found.is_left(130.0)
    assert not found.is_left(131.0), "that is known"
    assert found.seen(131.0) == (b"t", 120)


def test_whoever_comes_back_alone_may_have_come_to_say_that_it_is_over(calls: OpenCalls) -> None:
    found = begin(calls)
    found.enter(ALICE, 100.0)
    assert found.back_at is None
    found.leave(ALICE, 110.0)
    found.is_left(110.0)
    found.enter(ALICE, 130.0)
    assert (found.back_at, found.back_from) == (130.0, 110.0)
    found.enter(ALICE, 131.0)
    assert (found.back_at, found.back_from) == (131.0, 110.0)
    found.enter(BOB, 132.0)
    assert (found.back_at, found.back_from) == (None, None)


def test_a_call_that_a_device_brings_here_is_in_doubt_for_a_moment(calls: OpenCalls) -> None:
    found = begin(calls)
    found.bring(100.0)
    assert found.is_in_doubt(100.0)
    assert not found.is_in_doubt(100.0 + SURE_SECONDS)
    found.enter(ALICE, 100.0)
    assert found.is_in_doubt(100.0)
    found.enter(BOB, 101.0)
    assert not found.is_in_doubt(101.0), "two say that it goes on"


def test_a_call_that_a_device_has_left_again_too_soon_stays_in_doubt(calls: OpenCalls) -> None:
    found = begin(calls)
    found.bring(100.0)
    for at in (100.0, 120.0):
        found.enter(ALICE, at)
        found.leave(ALICE, at + 1.0)
        assert found.is_left(at + 1.0)
        assert found.is_in_doubt(at + 10.0)
    found.enter(ALICE, 140.0)
    found.leave(ALICE, 140.0 + SURE_SECONDS)
    assert found.is_left(150.0)
    found.enter(ALICE, 160.0)
    assert not found.is_in_doubt(160.0), "it was here for long enough"


def test_a_call_is_between_the_devices_of_two_accounts(calls: OpenCalls) -> None:
    found = begin(calls)
    assert found.is_between(PHONE, ALICE)
    assert not found.is_between(EVE, ALICE)


def test_the_last_word_is_when_it_ended_or_when_it_was_last_seen_if_somebody_came_only_to_say_so(
    calls: OpenCalls,
) -> None:
    def fresh_since(now: float) -> int:
        return int(now) - 60

    found = begin(calls)
    assert found.last_word(150.5, fresh_since, closes=False) == TouchRecords(((b"t", 150),))
    assert found.last_word(150.5, fresh_since, closes=True) == CloseRecord(b"t", 150)
    found.back_at = 148.0
    assert found.last_word(150.5, fresh_since, closes=True) == CloseRecord(b"t", 150, 88)
    assert found.last_word(150.5, fresh_since, closes=False) == TouchRecords(((b"t", 0),)), "it was no longer seen"
    found.back_from = 120.5
    assert found.last_word(150.5, fresh_since, closes=False) == TouchRecords(((b"t", 120),))
    assert found.last_word(150.5, fresh_since, closes=True) == CloseRecord(b"t", 120, 88)
    assert found.last_word(148.0 + SURE_SECONDS, fresh_since, closes=True) == CloseRecord(b"t", 151)
    assert found.last_word(148.0 + SURE_SECONDS, fresh_since, closes=False) == TouchRecords(((b"t", 151),))
