"""Tokens follow from the secret of the server and the call, and tell who called."""

from __future__ import annotations

from entrenous_signaling.call_tokens import CallTokens
from entrenous_wire.limits import RECORD_TOKEN_BYTES

TOKENS = CallTokens(b"k" * 32)
CALL, OTHER = b"c" * 16, b"d" * 16


def test_tokens_are_the_same_wherever_they_are_made_and_different_for_all_else() -> None:
    made = [
        token
        for tokens in (TOKENS, CallTokens(b"l" * 32))
        for call in (CALL, OTHER)
        for token in (tokens.of_row(call), tokens.of_caller(call))
    ]
    assert len(set(made)) == 8
    assert {len(token) for token in made} == {RECORD_TOKEN_BYTES}
    assert CallTokens(b"k" * 32).of_row(CALL) == TOKENS.of_row(CALL)


def test_a_token_tells_whether_it_is_the_callers() -> None:
    assert TOKENS.tell_who_called(TOKENS.of_caller(CALL), CALL) is True
    assert TOKENS.tell_who_called(TOKENS.of_row(CALL), CALL) is False
    assert TOKENS.tell_who_called(TOKENS.of_row(OTHER), CALL) is None
    assert TOKENS.tell_who_called(bytes(RECORD_TOKEN_BYTES), CALL) is None
