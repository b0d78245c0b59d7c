"""KeyRenewal: a live call changes its keys by the clock, and says so."""

from __future__ import annotations

import asyncio
import os

import pytest

from entrenous import call_keys
from entrenous.call_keys import KeyRenewal
from entrenous.crypto import call_secrets
from entrenous.crypto.call_secrets import CallSecrets
from entrenous.crypto.handshake_messages import commitment
from entrenous.crypto.key_schedule import Root, Side
from entrenous.crypto.messages import RekeyAnswer, RekeyDone, RekeyOffer
from entrenous.errors import RemoteProtocolError
from lab.calls import until

CALL = b"c" * 16


def both() -> tuple[CallSecrets, CallSecrets]:
    nonce_a, nonce_b, root = os.urandom(32), os.urandom(32), os.urandom(32)
    caller = CallSecrets(Side.CALLER, CALL, Root(0, root), nonce_a, nonce_b, os.urandom)
    callee = CallSecrets(Side.CALLEE, CALL, Root(0, root), nonce_b, commitment(nonce_a), os.urandom)
    callee.receive(caller.reveal())
    return caller, callee


async def test_both_ends_move_to_new_epochs_and_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_secrets, "REKEY_SECONDS", 0.05)
    monkeypatch.setattr(call_keys, "TICK_SECONDS", 0.01)
    secrets = both()
    epochs: tuple[list[int], list[int]] = ([], [])
    loop = asyncio.get_running_loop()

    def deliver(end: int, body: bytes) -> None:
        message = secrets[end].receive(body)
        assert isinstance(message, RekeyOffer | RekeyAnswer | RekeyDone)
        keys[end].take(secrets[end], message)

    keys = (
        KeyRenewal(lambda body: loop.call_soon(deliver, 1, body) and None, epochs[0].append),
        KeyRenewal(lambda body: loop.call_soon(deliver, 0, body) and None, epochs[1].append),
    )
    for end in (0, 1):
        keys[end].start(secrets[end])
        keys[end].start(secrets[end])
    await until(lambda: min(len(epochs[0]), len(epochs[1])) >= 2)
    for renewal in keys:
        renewal.stop()
    assert epochs[0][:2] == epochs[1][:2] == [1, 2]


async def test_a_rekey_message_that_does_not_fit_is_refused_and_nothing_is_told() -> None:
    caller, _ = both()
    sent: list[bytes] = []
    epochs: list[int] = []
    keys = KeyRenewal(sent.append, epochs.append)
    with pytest.raises(RemoteProtocolError):
        keys.take(caller, RekeyDone(7))
    keys.stop()
    assert (sent, epochs) == ([], [])
