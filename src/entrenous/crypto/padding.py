"""The seven lengths that a sealed body may have: what its length tells the server is one of seven values.

Inside the seal stands::

    0      4   n, big endian
    4      n   what is meant
    4+n    …   zeros, to the end

so that everything, padding included, is under the tag.
"""

from __future__ import annotations

from typing import Final

from entrenous.errors import LocalProtocolError, VerificationError
from entrenous_wire.limits import BODY_SIZES

_PREFIX: Final = 4


def pad(plaintext: bytes, overhead: int, minimum: int = 0) -> bytes:
    """Pad so that the sealed body has one of the seven lengths.

    Args:
        plaintext: what is meant.
        overhead: the bytes that sealing will add.
        minimum: the least length of the sealed body, for messages that should look alike.

    Raises:
        LocalProtocolError: it does not fit into the largest body.
    """
    needed = _PREFIX + len(plaintext) + overhead
    for size in BODY_SIZES:
        if size >= needed and size >= minimum:
            return len(plaintext).to_bytes(_PREFIX, "big") + plaintext + bytes(size - needed)
    raise LocalProtocolError(f"A message has at most {BODY_SIZES[-1] - overhead - _PREFIX} bytes.")


def unpad(padded: bytes) -> bytes:
    """Take the padding off again; raises VerificationError unless it is exactly as `pad` makes it."""
    length = int.from_bytes(padded[:_PREFIX], "big")
    end = _PREFIX + length
    if len(padded) < _PREFIX or end > len(padded) or any(padded[end:]):
        raise VerificationError("The padding of a sealed body is wrong.")
    return padded[_PREFIX:end]


def check_body_size(body: bytes) -> None:
    """Refuse a body that has none of the seven lengths, before any work is done; raises VerificationError."""
    if len(body) not in BODY_SIZES:
        raise VerificationError("A sealed body has none of the lengths that a body may have.")
