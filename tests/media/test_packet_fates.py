"""The fates of one stream's packets, out of feedback for all of them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous.media.feedback import TransportFeedback
from entrenous.media.packet_fates import REMEMBERED, REORDERED, PacketFates


def feedback(base: int, arrived: list[bool]) -> TransportFeedback:
    return TransportFeedback(base % 65536, 0, 0, tuple(number if came else None for number, came in enumerate(arrived)))


def test_only_packets_of_the_stream_count() -> None:
    fates = PacketFates()
    for number in (10, 12, 14):
        fates.sent(number)
    assert fates.tell(feedback(9, [False, True, False, True, False, True])) == [True, True, True]


def test_a_missing_packet_counts_as_lost_once_enough_have_overtaken_it() -> None:
    fates = PacketFates()
    for number in range(30):
        fates.sent(number)
    assert fates.tell(feedback(0, [True, False, True, True])) == [True]
    assert fates.tell(feedback(4, [True] * REORDERED)) == [False] + [True] * (2 + REORDERED)


def test_one_that_was_overtaken_and_came_is_not_lost() -> None:
    fates = PacketFates()
    for number in range(10):
        fates.sent(number)
    assert fates.tell(feedback(0, [True, False, True])) == [True]
    # Nor is one lost that was reported on once and is not the second time.
    assert fates.tell(feedback(1, [True, False, True])) == [True, True, True]


def test_what_a_lost_feedback_told_of_is_left_out() -> None:
    fates = PacketFates()
    for number in range(40):
        fates.sent(number)
    assert fates.tell(feedback(0, [True] * 10)) == [True] * 10
    assert fates.tell(feedback(20, [True] * 10)) == [True] * 10


def test_numbers_may_wrap() -> None:
    fates = PacketFates()
    for number in range(65530, 65550):
        fates.sent(number % 65536)
    assert fates.tell(feedback(65530, [True, True, False] + [True] * 17)) == [True, True, False] + [True] * 17


def test_feedback_about_what_was_never_sent_tells_nothing() -> None:
    fates = PacketFates()
    fates.sent(5)
    assert fates.tell(feedback(30_000, [False] * 100)) == []
    assert fates.tell(feedback(60_000, [])) == []


def test_no_more_packets_are_remembered_than_needed() -> None:
    fates = PacketFates()
    for number in range(5000):
        fates.sent(number)
    assert len(fates.tell(feedback(0, [True] * 5000))) == REMEMBERED


@settings(deadline=None)
@given(st.integers(0, 65_535), st.lists(st.booleans(), min_size=1, max_size=200), st.integers(1, 20))
def test_every_packet_has_one_fate_in_order(first: int, arrived: list[bool], step: int) -> None:
    fates, told = PacketFates(), []
    for number in range(len(arrived)):
        fates.sent((first + number) % 65536)
    for at in range(0, len(arrived), step):
        told += fates.tell(feedback(first + at, arrived[at : at + step]))
    told += fates.tell(feedback(first + len(arrived), [True] * REORDERED))
    assert told == arrived
