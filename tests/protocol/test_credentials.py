"""A device signs for its own server only, and knows which refusals are final."""

from __future__ import annotations

import pytest

from entrenous.protocol.credentials import MAX_SENTENCE, Credentials, is_final, sentence_of
from entrenous_wire.login import login_proof
from entrenous_wire.messages import Error, ErrorCode, Hello, RegistrationPolicy

NONCE = b"n" * 32


def hello(server: str = "x.example", versions: tuple[int, ...] = (1,)) -> Hello:
    return Hello(server=server, nonce=NONCE, versions=list(versions), registration=RegistrationPolicy.OPEN)


def credentials() -> Credentials:
    return Credentials("x.example", "anna@x.example", "a" * 16, b"certificate", lambda proof: proof[:64].ljust(64))


def test_the_login_signs_the_nonce_and_the_server_that_we_know() -> None:
    login = credentials().login(hello())
    assert login.signature == login_proof("x.example", NONCE, "anna@x.example", "a" * 16)[:64].ljust(64)
    assert (login.address, login.device, login.certificate) == ("anna@x.example", "a" * 16, b"certificate")


def test_a_greeting_of_another_server_or_version_gets_no_signature() -> None:
    assert credentials().objection(hello()) is None
    assert "another name" in (credentials().objection(hello("evil.example")) or "")
    assert "version 1" in (credentials().objection(hello(versions=(2, 3))) or "")


@pytest.mark.parametrize("code", ErrorCode)
def test_final_refusals(code: ErrorCode) -> None:
    worth_another_try = {
        ErrorCode.OUT_OF_ORDER,
        ErrorCode.NONCE_USED,
        ErrorCode.SESSION_GONE,
        ErrorCode.OFFLINE,
        ErrorCode.MAILBOX_FULL,
        ErrorCode.UNAVAILABLE,
        ErrorCode.NO_RELAY,
    }
    assert is_final(Error(code=code, message="No.")) == (code not in worth_another_try)
    if code is ErrorCode.TOO_MANY:
        assert not is_final(Error(code=code, message="Later.", retry_after=3.0))


def test_what_signs_is_not_shown() -> None:
    assert "sign" not in repr(credentials())


def test_a_sentence_of_the_server_holds_nothing_that_a_terminal_obeys() -> None:
    hostile = "No.\x1b]0;owned\x07\r\n\u202egnp.exe" + "x" * 10_000
    shown = sentence_of(Error(code=ErrorCode.UNAVAILABLE, message=hostile))
    assert shown.isprintable()
    assert shown.startswith("No. ")
    assert len(shown) == MAX_SENTENCE
    assert sentence_of(Error(code=ErrorCode.UNAVAILABLE, message="Später.")) == "Später."
