"""Prekeys: a new one each week, the old one 48 hours more, all as a function of `now`."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.people import NOW, seeded
from entrenous.crypto.hybrid import seal_to
from entrenous.crypto.identity import KEEP_EXPIRED_SECONDS, DeviceIdentity
from entrenous.crypto.prekeys import (
    KEEP_SECONDS,
    MAX_EXPIRED,
    ROTATE_SECONDS,
    Prekey,
    open_letter,
    open_with_any,
    rotate,
    without_expired,
)
from entrenous.errors import VerificationError
from entrenous_wire.certificate import SignedPrekey

DEVICE = DeviceIdentity(b"d" * 32)
DAY = 86_400


def no_entropy(length: int) -> bytes:
    raise AssertionError("nothing was due")


def sealed_to(prekey: Prekey) -> bytes:
    return seal_to(SignedPrekey.parse(prekey.signed).public_key, b"a ring", b"use")


def test_the_first_one_is_made_and_signed() -> None:
    (prekey,) = rotate((), DEVICE, NOW, seeded("prekeys"))
    signed = SignedPrekey.parse(prekey.signed)
    signed.verify(DEVICE.public_key, NOW)
    assert signed.not_after == prekey.not_after == NOW + ROTATE_SECONDS + KEEP_SECONDS
    assert open_with_any((prekey,), sealed_to(prekey), b"use", NOW) == b"a ring"


def test_for_a_week_nothing_is_due() -> None:
    held = rotate((), DEVICE, NOW, seeded("prekeys"))
    for seconds in (0, DAY, ROTATE_SECONDS - 1):
        assert rotate(held, DEVICE, NOW + seconds, no_entropy) == held


def test_after_a_week_there_are_two_and_after_48_hours_more_one() -> None:
    entropy = seeded("prekeys")
    (first,) = rotate((), DEVICE, NOW, entropy)
    second, kept = rotate((first,), DEVICE, NOW + ROTATE_SECONDS, entropy)
    assert kept == first
    assert second.key_id == first.key_id + 1
    both = (second, kept)
    assert rotate(both, DEVICE, NOW + ROTATE_SECONDS + KEEP_SECONDS - 1, no_entropy) == both
    now = NOW + ROTATE_SECONDS + KEEP_SECONDS
    assert rotate(both, DEVICE, now, no_entropy) == both
    assert without_expired(both, now - 1) == both
    assert without_expired(both, now) == (second,)


def test_a_device_that_slept_keeps_what_may_wait_for_it_and_no_longer_than_that_may() -> None:
    entropy = seeded("prekeys")
    held = rotate((), DEVICE, NOW, entropy)
    last = int(NOW) + ROTATE_SECONDS + KEEP_SECONDS + KEEP_EXPIRED_SECONDS
    fresh, old = rotate(held, DEVICE, last - 1, entropy)
    assert (fresh.created_at, (old,)) == (last - 1, held)
    (fresh,) = rotate(held, DEVICE, last, entropy)
    assert fresh.created_at == last


def test_what_was_stored_opens_with_any_prekey_that_is_held_expired_or_not() -> None:
    entropy = seeded("prekeys")
    held = rotate((), DEVICE, NOW, entropy)
    both = rotate(held, DEVICE, NOW + 30 * DAY, entropy)
    for prekey in both:
        assert open_letter(both, sealed_to(prekey), b"use") == b"a ring"
    with pytest.raises(VerificationError):
        open_letter(without_expired(both, NOW + 30 * DAY), sealed_to(held[0]), b"use")


def test_a_prekey_made_under_a_wrong_clock_is_replaced() -> None:
    entropy = seeded("prekeys")
    held = rotate((), DEVICE, NOW + 1000 * DAY, entropy)
    (fresh,) = rotate(held, DEVICE, NOW, entropy)
    assert fresh.created_at == NOW


@given(st.lists(st.integers(0, 12 * DAY), max_size=30))
def test_at_any_time_there_are_one_or_two_and_the_newest_is_under_a_week_old(pauses: Sequence[int]) -> None:
    entropy, now, held = seeded("prekeys"), NOW, rotate((), DEVICE, NOW, seeded("first"))
    for pause in pauses:
        now += pause
        held = rotate(held, DEVICE, now, entropy)
        fresh = without_expired(held, now)
        assert 1 <= len(fresh) <= 2
        assert held[: len(fresh)] == fresh
        assert now - held[0].created_at < ROTATE_SECONDS
        assert len(held) <= 2 + MAX_EXPIRED


def test_a_ring_to_either_prekey_opens_and_to_no_other() -> None:
    entropy = seeded("prekeys")
    first = rotate((), DEVICE, NOW, entropy)
    both = rotate(first, DEVICE, NOW + ROTATE_SECONDS, entropy)
    (other,) = rotate((), DEVICE, NOW, entropy)
    now = NOW + ROTATE_SECONDS + 1
    for prekey in both:
        assert open_with_any(both, sealed_to(prekey), b"use", now) == b"a ring"
    with pytest.raises(VerificationError):
        open_with_any(both, sealed_to(other), b"use", now)
    with pytest.raises(VerificationError):
        open_with_any((), sealed_to(other), b"use", now)


def test_an_expired_prekey_opens_nothing_even_if_it_is_still_held() -> None:
    held = rotate((), DEVICE, NOW, seeded("prekeys"))
    body = sealed_to(held[0])
    assert open_with_any(held, body, b"use", held[0].not_after - 1) == b"a ring"
    with pytest.raises(VerificationError):
        open_with_any(held, body, b"use", float(held[0].not_after))


def test_the_private_half_is_not_shown() -> None:
    (prekey,) = rotate((), DEVICE, NOW, seeded("prekeys"))
    assert repr(prekey) == f"Prekey(key_id=0, created_at={int(NOW)})"
