"""Relay credentials, shown to a real coturn."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import time
from pathlib import Path

import aioice.stun
import aioice.turn
import pytest

from entrenous_signaling.turn import TTL_SECONDS, Relay, RelayCredentials, mint
from lab.relay import HAS_COTURN, running_relay

RELAY = Relay(("turn:127.0.0.1:3478",), b"the relay's secret")


def test_credentials_are_what_coturn_computes() -> None:
    credentials = mint(RELAY, 1000.9, lambda size: b"\1" * size)
    assert credentials.username == f"{1000 + TTL_SECONDS}:" + "01" * 12
    digest = hmac.new(b"the relay's secret", credentials.username.encode(), hashlib.sha1).digest()
    assert credentials.password == base64.b64encode(digest).decode()


def test_credentials_of_two_requests_have_nothing_in_common_and_are_not_shown() -> None:
    one, other = mint(RELAY, 1000.0, os.urandom), mint(RELAY, 1000.0, os.urandom)
    assert one.username.partition(":")[2] != other.username.partition(":")[2]
    assert one.password not in repr(one)
    assert "secret" not in repr(RELAY)


async def allocate(port: int, credentials: RelayCredentials) -> None:
    transport, _ = await aioice.turn.create_turn_endpoint(
        asyncio.DatagramProtocol,
        server_addr=("127.0.0.1", port),
        username=credentials.username,
        password=credentials.password,
        transport="tcp",
    )
    transport.close()


@pytest.mark.skipif(not HAS_COTURN, reason="coturn's turnserver is not installed")
async def test_coturn_takes_fresh_credentials_and_refuses_expired_and_altered_ones(tmp_path: Path) -> None:
    now = time.time()
    fresh = mint(RELAY, now, os.urandom)
    longer = RelayCredentials(f"{int(now) + 9 * TTL_SECONDS}:{fresh.username.partition(':')[2]}", fresh.password)
    with running_relay(tmp_path, "--use-auth-secret", f"--static-auth-secret={RELAY.secret.decode()}") as coturn:
        await allocate(coturn.port, fresh)
        for refused in (
            mint(RELAY, now - TTL_SECONDS - 60, os.urandom),
            mint(Relay(RELAY.urls, b"another secret"), now, os.urandom),
            longer,
        ):
            with pytest.raises(aioice.stun.TransactionFailed):
                await allocate(coturn.port, refused)
