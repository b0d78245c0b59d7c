"""Three words: 33 bits, each word 11 of them, from the front."""

from __future__ import annotations

from entrenous.crypto.words import three_words


def test_known_seeds_give_known_words() -> None:
    assert three_words(bytes(5)) == ("abandon", "abandon", "abandon")
    assert three_words(b"\xff" * 5) == ("zoo", "zoo", "zoo")
    assert three_words((1 << 7).to_bytes(5, "big")) == ("abandon", "abandon", "ability")
    assert three_words((2**11 << 7).to_bytes(5, "big")) == ("abandon", "ability", "abandon")
    assert three_words((2**22 << 7).to_bytes(5, "big")) == ("ability", "abandon", "abandon")


def test_the_last_seven_bits_do_not_count() -> None:
    assert three_words(b"\1\2\3\4\x00") == three_words(b"\1\2\3\4\x7f") != three_words(b"\1\2\3\4\x80")
