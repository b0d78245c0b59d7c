"""Three words that two people compare by voice to know that nobody sits between them.

33 bits as three words of the BIP-39 English list. Both sides contribute to them, and the caller is committed
to its share before it sees the callee's, so an attacker has one guess in 2**33 and no search.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from mnemonic import Mnemonic

WORD_COUNT: Final = 3
BITS_PER_WORD: Final = 11
SEED_BYTES: Final = 5
"""Bytes that `three_words` takes: 40 bits, of which the first 33 are used."""

Words = tuple[str, str, str]


@lru_cache(maxsize=1)
def _word_list() -> tuple[str, ...]:
    return tuple(Mnemonic("english").wordlist)


def three_words(seed: bytes) -> Words:
    """Turn the first 33 bits of `seed` (5 bytes) into three words."""
    bits = int.from_bytes(seed[:SEED_BYTES], "big") >> (8 * SEED_BYTES - WORD_COUNT * BITS_PER_WORD)
    words = _word_list()
    mask = (1 << BITS_PER_WORD) - 1
    return words[bits >> 22], words[(bits >> 11) & mask], words[bits & mask]
