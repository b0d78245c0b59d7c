"""Nothing overtakes what was refused for now, nor what was refused since that comes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from entrenous_signaling.auth import RETRY_SECONDS
from entrenous_signaling.held_back import PATIENCE_SECONDS, HeldBack

BOB = ("bob", "b" * 16)
EVE = ("eve", "e" * 16)
NOW = 1_000_000.0


def waiting(*ids: bytes) -> HeldBack:
    """These were refused just now, to Bob."""
    held_back = HeldBack()
    for message_id in ids:
        held_back.put_off(BOB, message_id, NOW + RETRY_SECONDS)
    return held_back


def test_only_the_first_may_be_said_and_then_only_the_next() -> None:
    held_back = waiting(b"1", b"2")
    assert held_back.seconds_to_wait(BOB, b"1", NOW) is None
    assert held_back.seconds_to_wait(BOB, b"2", NOW) == RETRY_SECONDS
    held_back.let_through(BOB, b"1")
    assert held_back.seconds_to_wait(BOB, b"3", NOW) == RETRY_SECONDS
    assert held_back.seconds_to_wait(BOB, b"2", NOW) is None
    held_back.let_through(BOB, b"2")
    assert held_back.seconds_to_wait(BOB, b"3", NOW) is None
    assert not held_back


def test_others_receive_meanwhile() -> None:
    assert waiting(b"1").seconds_to_wait(EVE, b"2", NOW) is None


def test_what_is_refused_once_more_keeps_its_place() -> None:
    held_back = waiting(b"1", b"2")
    held_back.put_off(BOB, b"1", NOW + 20.0)
    assert held_back.seconds_to_wait(BOB, b"2", NOW) == 20.0
    assert held_back.seconds_to_wait(BOB, b"1", NOW) is None
    assert len(held_back) == 2


def test_what_is_not_said_in_time_is_overtaken_and_what_is_keeps_its_place() -> None:
    held_back = waiting(b"1", b"2")
    late = NOW + RETRY_SECONDS + PATIENCE_SECONDS
    assert held_back.seconds_to_wait(BOB, b"2", late - 0.1) == RETRY_SECONDS
    held_back.put_off(BOB, b"2", late - 0.1 + RETRY_SECONDS)
    assert held_back.seconds_to_wait(BOB, b"3", late) is not None
    assert held_back.seconds_to_wait(BOB, b"2", late) is None
    assert held_back.seconds_to_wait(BOB, b"3", late + 2 * PATIENCE_SECONDS) is None
    assert not held_back


def test_with_age_nothing_is_left() -> None:
    held_back = waiting(b"1", b"2")
    held_back.put_off(BOB, b"1", NOW + 20.0)
    held_back.age(NOW + RETRY_SECONDS + PATIENCE_SECONDS)
    assert len(held_back) == 1
    held_back.age(NOW + 20.0 + PATIENCE_SECONDS)
    assert not held_back


def test_it_is_bounded_and_what_is_refused_last_to_one_receiver_is_the_first_that_it_does_without() -> None:
    held_back = waiting(*(number.to_bytes(16) for number in range(1000)))
    assert len(held_back) == 256
    assert held_back.seconds_to_wait(BOB, (0).to_bytes(16), NOW) is None
    held_back.put_off(EVE, b"1", NOW)
    assert (len(held_back), held_back.seconds_to_wait(BOB, b"", NOW)) == (1, None)
    for number in range(1000):
        held_back.put_off(("user", str(number)), b"1", NOW)
    assert len(held_back) == 64


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=60))
def test_whoever_says_again_what_was_refused_is_heard_in_order(tries: list[tuple[bool, int]]) -> None:
    """Whatever is refused, and in whatever order a client tries: it comes through in the order of the first tries."""
    held_back, heard, unheard, now = HeldBack(), list[int](), list[int](), NOW
    tried = 0
    for fits, which in tries:
        now += 0.1
        if which < len(unheard):
            number = unheard[which]
        else:
            number = tried
            tried += 1
            unheard.append(number)
        message_id = bytes([number])
        wait = held_back.seconds_to_wait(BOB, message_id, now)
        if wait is None and fits:
            held_back.let_through(BOB, message_id)
            heard.append(number)
            unheard.remove(number)
        else:
            held_back.put_off(BOB, message_id, now + (wait or RETRY_SECONDS))
    assert heard == sorted(heard)
    assert len(held_back) == len(unheard)
