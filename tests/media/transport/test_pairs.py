"""What is known of one pair."""

from __future__ import annotations

import pytest

from entrenous.media.transport.pairs import (
    CONSENT_LIFETIME,
    FIRST_PATIENCE,
    MAX_PATIENCE,
    MIN_PATIENCE,
    Local,
    Pair,
    Remote,
)
from entrenous.media.transport.stun import Address


def make(*, relayed: bool = False, streamed: bool = False, preferred: bool = False, kind: str = "host") -> Pair:
    local = Local(is_ipv6=False, relayed=relayed, streamed=streamed, preferred=preferred)
    return Pair(local, Remote(Address("192.0.2.1", 9), kind), next_check=0.0)


def test_direct_is_better_than_relayed_and_datagrams_than_streams() -> None:
    best_first = [
        make(preferred=True),
        make(kind="srflx"),
        make(relayed=True, kind="prflx"),
        make(relayed=True, streamed=True),
        make(relayed=True, kind="relay"),
        make(relayed=True, streamed=True, kind="relay"),
    ]
    ranks = [pair.rank for pair in best_first]
    assert ranks == sorted(set(ranks), reverse=True)
    assert [pair.is_direct for pair in best_first] == [True, True, False, False, False, False]


def test_consent_is_for_half_a_minute_after_each_answer() -> None:
    pair = make()
    assert not pair.may_send(0.0)
    pair.sent(1.0)
    pair.answered(1.0, 1.1)
    assert pair.may_send(1.0 + CONSENT_LIFETIME)
    assert not pair.may_send(1.2 + CONSENT_LIFETIME)


def test_a_pair_that_is_away_or_refused_is_not_sent_to() -> None:
    pair = make()
    pair.answered(0.0, 0.1)
    pair.local.is_up = False
    assert not pair.may_send(0.2)
    pair.local.is_up, pair.broken = True, True
    assert not pair.may_send(0.2)
    pair.look_again(0.3)
    assert pair.may_send(0.3)


@pytest.mark.parametrize("rtt", [0.001, 0.05, 0.8, 5.0])
def test_patience_follows_the_round_trip(rtt: float) -> None:
    pair = make()
    assert pair.patience == FIRST_PATIENCE
    for number in range(50):
        pair.sent(float(number))
        pair.answered(float(number), number + rtt)
    assert pair.rtt == pytest.approx(rtt)
    assert MIN_PATIENCE <= pair.patience <= MAX_PATIENCE
    assert pair.patience >= min(rtt, MAX_PATIENCE)


def answer(pair: Pair, *rtts: float) -> None:
    for number, rtt in enumerate(rtts):
        pair.answered(float(number), number + rtt)


def test_an_answer_that_was_held_up_makes_hardly_more_patient() -> None:
    pair = make()
    answer(pair, *[0.04] * 20, 1.0)
    assert pair.patience < 0.2


@pytest.mark.parametrize("before", [0, 20])
def test_when_answers_are_held_up_no_more_patience_is_as_before(before: int) -> None:
    pair = make()
    answer(pair, *[0.04] * before, *[1.0] * 8)
    assert pair.patience > 1.0
    answer(pair, 0.04)
    assert pair.patience < 0.2


def test_a_path_that_became_longer_is_waited_for_after_three_answers() -> None:
    pair = make()
    answer(pair, *[0.04] * 20, 0.5, 0.5, 0.5)
    assert pair.patience > 0.5


def test_lost_checks_are_counted_when_their_time_is_over() -> None:
    pair = make()
    pair.answered(0.0, 0.02)
    for at in (1.0, 1.1, 1.2):
        pair.sent(at)
    assert pair.lost_since(1.0, 1.0 + pair.patience) == 1
    assert pair.lost_since(1.05, 5.0) == 2
    pair.answered(1.1, 1.3)
    assert pair.lost_since(1.0, 5.0) == 1  # the one sent after the answered one


def test_each_failure_holds_a_pair_back_for_longer_until_it_is_forgiven() -> None:
    pair = make()
    holds = []
    for at in (0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 200.0):
        pair.failed(at)
        holds.append(pair.held_until - at)
    assert holds[:3] == [2.0, 4.0, 8.0]
    assert max(holds) == 60.0
    assert holds[-1] == 2.0
