"""The sealed channel: every byte counts, each message once, in whatever order."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.people import refuse_every_change
from entrenous.crypto.replay import ReplayWindow
from entrenous.crypto.sealed import MAX_COUNTER, SEAL_OVERHEAD, SealedChannel
from entrenous.errors import LocalProtocolError, Replayed, VerificationError
from entrenous_wire.limits import BODY_SIZES

A_TO_B, B_TO_A = b"a" * 32, b"b" * 32


def pair() -> tuple[SealedChannel, SealedChannel]:
    return SealedChannel(A_TO_B, B_TO_A), SealedChannel(B_TO_A, A_TO_B)


def test_messages_go_both_ways() -> None:
    alice, bob = pair()
    assert bob.open(alice.seal(b"to bob")) == b"to bob"
    assert alice.open(bob.seal(b"to alice")) == b"to alice"
    assert bob.open(alice.seal(b"")) == b""


def test_a_message_does_not_come_back_to_its_sender() -> None:
    alice, _ = pair()
    with pytest.raises(VerificationError):
        alice.open(alice.seal(b"to bob"))


def test_every_byte_counts_and_a_refusal_changes_nothing() -> None:
    alice, bob = pair()
    body = alice.seal(b"to bob")
    refuse_every_change(body, bob.open)
    assert bob.open(body) == b"to bob"


def test_a_message_counts_once() -> None:
    alice, bob = pair()
    bodies = [alice.seal(bytes((n,))) for n in range(5)]
    assert [bob.open(bodies[n]) for n in (3, 0, 4, 1, 2)] == [b"\3", b"\0", b"\4", b"\1", b"\2"]
    for body in bodies:
        with pytest.raises(Replayed):
            bob.open(body)


def test_what_was_authenticated_is_not_seen_before_it_is_committed() -> None:
    alice, bob = pair()
    body = alice.seal(b"twice looked at")
    assert bob.authenticate(body) == bob.authenticate(body)
    bob.commit(bob.authenticate(body))
    with pytest.raises(Replayed):
        bob.authenticate(body)


def test_a_message_from_before_the_window_is_refused_as_seen() -> None:
    alice, bob = pair()
    first = alice.seal(b"first")
    alice._next = 5000
    bob.open(alice.seal(b"much later"))
    with pytest.raises(Replayed):
        bob.open(first)


@pytest.mark.parametrize("length", [0, 1, 996, 997, 5000, BODY_SIZES[-1] - SEAL_OVERHEAD - 4])
def test_bodies_have_one_of_the_seven_lengths(length: int) -> None:
    alice, bob = pair()
    body = alice.seal(bytes(length))
    assert len(body) in BODY_SIZES
    assert bob.open(body) == bytes(length)


def test_a_least_length_makes_messages_look_alike() -> None:
    alice, _ = pair()
    assert {len(alice.seal(bytes(n), minimum=4096)) for n in (0, 1000, 3000)} == {4096}


def test_what_is_too_long_is_refused_and_uses_no_counter() -> None:
    alice, bob = pair()
    with pytest.raises(LocalProtocolError):
        alice.seal(bytes(BODY_SIZES[-1]))
    assert alice.seal(b"next")[:8] == bytes(8)
    assert repr(bob) == "<SealedChannel sent=0 open=True>"


def test_used_up_counters_seal_nothing_more() -> None:
    alice, bob = pair()
    alice._next = MAX_COUNTER
    assert bob.open(alice.seal(b"last")) == b"last"
    with pytest.raises(LocalProtocolError):
        alice.seal(b"one too many")


def test_after_forgetting_nothing_is_sealed_or_opened() -> None:
    alice, bob = pair()
    body = alice.seal(b"before")
    alice.forget()
    bob.forget()
    with pytest.raises(LocalProtocolError):
        alice.seal(b"after")
    with pytest.raises(VerificationError):
        bob.open(body)


def test_a_key_has_32_bytes() -> None:
    with pytest.raises(LocalProtocolError):
        SealedChannel(b"short", B_TO_A)


@given(st.one_of(st.binary(max_size=64), st.sampled_from(BODY_SIZES[:3]).flatmap(lambda n: st.just(bytes(n)))))
def test_any_bytes_are_refused(body: bytes) -> None:
    _, bob = pair()
    with pytest.raises(VerificationError):
        bob.open(body)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 2), max_size=30), st.randoms())
def test_over_two_paths_each_message_arrives_once(copies: list[int], chance: random.Random) -> None:
    alice, bob = pair()
    bodies = [alice.seal(n.to_bytes(1, "big")) for n in range(len(copies))]
    on_the_way = [n for n, count in enumerate(copies) for _ in range(count)]
    chance.shuffle(on_the_way)
    arrived = []
    for n in on_the_way:
        try:
            arrived.append(bob.open(bodies[n])[0])
        except Replayed:
            assert n in arrived
    assert sorted(arrived) == [n for n, count in enumerate(copies) if count]


def test_the_window_is_bounded() -> None:
    window = ReplayWindow()
    for counter in range(0, 10_000, 7):
        window.commit(counter)
    assert window._bits.bit_length() <= 1024
