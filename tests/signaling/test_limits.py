"""Token buckets."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous_signaling.limits import MessageBounds, Rate, TokenBucket


def test_a_burst_is_allowed_and_then_the_rate() -> None:
    bucket = TokenBucket(Rate(per_second=2.0, burst=3.0), now=100.0)
    assert [bucket.take(100.0) for _ in range(3)] == [0.0] * 3
    assert bucket.take(100.0) == pytest.approx(0.5)
    assert bucket.take(100.4) == pytest.approx(0.1)
    assert bucket.take(100.5) == 0.0
    assert [bucket.take(1000.0) for _ in range(3)] == [0.0] * 3
    assert bucket.take(1000.0) == pytest.approx(0.5), "who rests for long saves up no more than a burst"


@given(st.lists(st.floats(0.0, 5.0), max_size=200))
def test_never_more_than_burst_and_rate_allow(pauses: list[float]) -> None:
    bucket, now, taken = TokenBucket(Rate(per_second=3.0, burst=5.0), now=0.0), 0.0, 0
    for pause in pauses:
        now += pause
        taken += bucket.take(now) == 0.0
    assert taken <= 5 + 3 * now + 1e-6


def test_a_clock_that_stands_still_gives_nothing() -> None:
    bucket = TokenBucket(Rate(per_second=1.0, burst=1.0), now=5.0)
    assert bucket.take(4.0) == 0.0
    assert bucket.take(4.0) > 0.0


def test_what_is_charged_is_owed_up_to_a_burst_and_comes_back_first() -> None:
    bucket = TokenBucket(Rate(per_second=10.0, burst=20.0), 5.0)
    bucket.charge(25.0, 5.0)
    assert bucket.take(5.0) == pytest.approx(0.6)
    bucket.charge(1000.0, 5.0)
    assert bucket.wait(5.0) == pytest.approx(2.1)
    assert bucket.take(7.15) == 0.0


def test_looking_takes_nothing_and_a_rested_bucket_is_full() -> None:
    bucket = TokenBucket(Rate(per_second=1.0, burst=2.0), now=0.0)
    assert (bucket.wait(0.0), bucket.is_full(0.0)) == (0.0, True)
    assert [bucket.take(0.0) for _ in range(2)] == [0.0, 0.0]
    assert [bucket.wait(0.25) for _ in range(2)] == [0.75, 0.75]
    assert not bucket.is_full(1.9)
    assert bucket.is_full(2.0)


@pytest.mark.parametrize("key", MessageBounds.__struct_fields__)
def test_what_is_stored_is_bounded_by_what_the_operator_says(key: str) -> None:
    assert getattr(msgspec.convert({key: 7}, MessageBounds), key) == 7
    with pytest.raises(msgspec.ValidationError, match=key):
        msgspec.convert({key: 0}, MessageBounds)
