"""A device's hybrid prekeys: a new one every week, and the old one for 48 hours more.

Whether to rotate is a function of the keys and `now`; nothing here looks at a clock. A ring says not to which
prekey it is sealed, so that a body tells nothing: both are tried.

What is stored for a device that is away (`notices`) is sealed to the prekey that it published last, and it may stay
away for longer than that one holds. So a prekey that has expired opens no ring any more, but its private half is kept
until the device has taken all that was stored for it (`without_expired`), at most for as long as a server may store
anything. What it means for forward secrecy: what was left for a device that is away can be read with what is on that
device until it has come back and taken it; on a device that is online an expired prekey is gone within the hour, and
nothing recorded before can be opened with what is found there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from entrenous.crypto.hybrid import SEED_BYTES, HybridPrivateKey
from entrenous.crypto.identity import KEEP_EXPIRED_SECONDS, DeviceIdentity, Entropy
from entrenous.errors import VerificationError
from entrenous_wire.limits import MAX_PREKEYS

ROTATE_SECONDS: Final = 7 * 86_400
"""Age at which a prekey is replaced."""

KEEP_SECONDS: Final = 48 * 3_600
"""How long the replaced one is kept, for callers who fetched it before."""

MAX_EXPIRED: Final = 16
"""How many expired ones are kept: more than a device makes in that time that is used each week."""

_CLOCK_TOLERANCE: Final = 86_400
_KEY_ID_LIMIT: Final = 2**32


class Prekey(msgspec.Struct, frozen=True):
    """One prekey with its private half.

    Args:
        key_id: counted by the device.
        created_at: Unix seconds.
        seed: the 96 bytes of `HybridPrivateKey`.
        signed: `SignedPrekey.raw`, what is published.
    """

    key_id: int
    created_at: int
    seed: bytes
    signed: bytes

    def __repr__(self) -> str:
        """Without the private half."""
        return f"Prekey(key_id={self.key_id}, created_at={self.created_at})"

    @property
    def not_after(self) -> int:
        """Unix seconds from which no ring is sealed to it; the published half says the same."""
        return self.created_at + ROTATE_SECONDS + KEEP_SECONDS


def new_prekey(device: DeviceIdentity, key_id: int, now: float, entropy: Entropy) -> Prekey:
    """Make and sign a prekey at `now` (Unix seconds)."""
    seed = entropy(SEED_BYTES)
    created_at = int(now)
    not_after = created_at + ROTATE_SECONDS + KEEP_SECONDS
    signed = device.sign_prekey(key_id, not_after, HybridPrivateKey(seed).public_bytes)
    return Prekey(key_id, created_at, seed, signed.raw)


def rotate(held: Sequence[Prekey], device: DeviceIdentity, now: float, entropy: Entropy) -> tuple[Prekey, ...]:
    """The prekeys that a device should hold at `now`, newest first and expired ones last; `held` when nothing is due.

    A prekey from the future (the clock was wrong when it was made) is replaced too, and dropped.

    Args:
        held: what it holds, in any order; may be empty.
        device: signs a new one.
        now: Unix seconds.
        entropy: called only when a new one is due.
    """
    plausible = [key for key in held if key.created_at <= now + _CLOCK_TOLERANCE]
    newest_first = sorted(plausible, key=lambda key: key.created_at, reverse=True)
    keep = [key for key in newest_first if now < key.not_after]
    expired = [key for key in newest_first if key.not_after <= now < key.not_after + KEEP_EXPIRED_SECONDS]
    if not keep or now >= keep[0].created_at + ROTATE_SECONDS:
        last_id = max((key.key_id for key in held), default=-1)
        keep.insert(0, new_prekey(device, (last_id + 1) % _KEY_ID_LIMIT, now, entropy))
    return (*keep[:MAX_PREKEYS], *expired[:MAX_EXPIRED])


def without_expired(held: Sequence[Prekey], now: float) -> tuple[Prekey, ...]:
    """Those that have not expired; the others are of use only while something stored may be sealed to them."""
    return tuple(key for key in held if now < key.not_after)


def open_with_any(held: Sequence[Prekey], body: bytes, info: bytes, now: float) -> bytes:
    """Open a body that was sealed to one of our prekeys; an expired one opens nothing.

    Raises:
        VerificationError: none of them opens it.
    """
    return open_letter(without_expired(held, now), body, info)


def open_letter(held: Sequence[Prekey], body: bytes, info: bytes) -> bytes:
    """Open a body that was stored for this device, sealed to any prekey that is still held.

    Raises:
        VerificationError: none of them opens it.
    """
    for key in held:
        try:
            return HybridPrivateKey(key.seed).open(body, info)
        except VerificationError:
            continue
    raise VerificationError("A body is sealed to none of our prekeys, or was changed.")
