"""A device's hybrid prekeys: a new one every week, and the old one for 48 hours more.

Whether to rotate is a function of the keys and `now`; nothing here looks at a clock. A ring says not to which
prekey it is sealed, so that a body tells nothing: both are tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from entrenous.crypto.hybrid import SEED_BYTES, HybridPrivateKey
from entrenous.crypto.identity import DeviceIdentity, Entropy
from entrenous.errors import VerificationError

ROTATE_SECONDS: Final = 7 * 86_400
"""Age at which a prekey is replaced."""

KEEP_SECONDS: Final = 48 * 3_600
"""How long the replaced one is kept, for callers who fetched it before."""

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
        """Unix seconds at which the private half is deleted; the published half says the same."""
        return self.created_at + ROTATE_SECONDS + KEEP_SECONDS


def new_prekey(device: DeviceIdentity, key_id: int, now: float, entropy: Entropy) -> Prekey:
    """Make and sign a prekey at `now` (Unix seconds)."""
    seed = entropy(SEED_BYTES)
    created_at = int(now)
    not_after = created_at + ROTATE_SECONDS + KEEP_SECONDS
    signed = device.sign_prekey(key_id, not_after, HybridPrivateKey(seed).public_bytes)
    return Prekey(key_id, created_at, seed, signed.raw)


def rotate(held: Sequence[Prekey], device: DeviceIdentity, now: float, entropy: Entropy) -> tuple[Prekey, ...]:
    """The prekeys that a device should hold at `now`, newest first; equal to `held` when nothing is due.

    A prekey from the future (the clock was wrong when it was made) is replaced too, and dropped.

    Args:
        held: what it holds, in any order; may be empty.
        device: signs a new one.
        now: Unix seconds.
        entropy: called only when a new one is due.
    """
    plausible = [key for key in held if key.created_at <= now + _CLOCK_TOLERANCE and now < key.not_after]
    keep = sorted(plausible, key=lambda key: key.created_at, reverse=True)
    if not keep or now >= keep[0].created_at + ROTATE_SECONDS:
        last_id = max((key.key_id for key in held), default=-1)
        keep.insert(0, new_prekey(device, (last_id + 1) % _KEY_ID_LIMIT, now, entropy))
    return tuple(keep[:2])


def open_with_any(held: Sequence[Prekey], body: bytes, info: bytes, now: float) -> bytes:
    """Open a body that was sealed to one of our prekeys; an expired one opens nothing.

    Raises:
        VerificationError: none of them opens it.
    """
    for key in held:
        if now >= key.not_after:
            continue
        try:
            return HybridPrivateKey(key.seed).open(body, info)
        except VerificationError:
            continue
    raise VerificationError("A ring is sealed to none of our prekeys, or was changed.")
