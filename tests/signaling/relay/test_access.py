"""Who gets an allocation, over what, and for how long."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from entrenous_signaling.config import ServerConfig
from entrenous_signaling.turn import TTL_SECONDS, RelayCredentials, mint
from entrenous_signaling.turn_secrets import add_secret, read_secrets, retire_secret, switch_secrets
from lab.coturn import Coturn, credentials, lab_settings, needs_coturn, running_coturn
from lab.network import needs_network
from lab.relay_place import Place
from lab.turn_client import TurnRefused, turn_client

pytestmark = [needs_network, needs_coturn, pytest.mark.asyncio(loop_scope="module")]


@pytest.mark.parametrize("over", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("v6", [False, True], ids=["to IPv4", "to IPv6"])
async def test_an_allocation_is_made_over_every_transport(coturn: Coturn, place: Place, over: str, v6: bool) -> None:
    with place.client(over, v6=v6) as client:
        address, port = client.allocate()
        assert address == place.relay.ipv4
        assert coturn.settings.min_port <= port <= coturn.settings.max_port


async def test_an_ipv6_address_is_relayed_when_asked_for(coturn: Coturn, place: Place) -> None:
    with place.client() as client:
        assert client.allocate(6)[0] == place.relay.ipv6


async def test_expired_and_forged_credentials_are_refused(coturn: Coturn, place: Place) -> None:
    fresh = credentials()
    later = f"{int(time.time()) + 9 * TTL_SECONDS}:{fresh.username.partition(':')[2]}"
    for refused in (
        credentials(age=TTL_SECONDS + 2),
        credentials(secret="the-secret-of-quite-another-relay"),
        RelayCredentials(later, fresh.password),
        RelayCredentials(fresh.username, ""),
    ):
        with place.client(who=refused) as client, pytest.raises(TurnRefused) as refusal:
            client.allocate()
        assert refusal.value.code == 401
    with turn_client(place.caller, (place.relay.ipv4, 3478), None) as client, pytest.raises(TurnRefused) as refusal:
        client.allocate()
    assert refusal.value.code == 401


async def test_an_allocation_outlives_the_expiry_of_its_credentials(coturn: Coturn, place: Place) -> None:
    ending = credentials(age=TTL_SECONDS - 1)
    expiry = int(ending.username.partition(":")[0])
    with place.client(who=ending) as client:
        client.allocate()
        await asyncio.sleep(max(0.0, expiry + 1.1 - time.time()))  # the relay's clock decides
        with place.client(who=ending) as late, pytest.raises(TurnRefused):
            late.allocate()
        assert client.refresh() == 600
        client.bind_channel((place.other.ipv4, 9))


async def test_both_secrets_work_during_a_change_over_and_the_old_one_no_more_afterwards(
    place: Place, tmp_path: Path
) -> None:
    file, settings = tmp_path / "secret", lab_settings(place.spare, place.folder)
    config = ServerConfig(turn_secret_file=str(file), turn=settings)

    def minted() -> RelayCredentials:
        """What the server, started now, gives a node."""
        relay = config.relay()
        assert relay is not None
        return mint(relay, time.time(), os.urandom)

    def is_let_in(who: RelayCredentials) -> bool:
        with place.client(who=who, relay=place.spare) as client:
            try:
                client.allocate()
            except TurnRefused as refusal:
                assert refusal.code == 401
                return False
        return True

    add_secret(file)
    old = minted()
    async with running_coturn(place.spare, settings, read_secrets(file)):
        assert is_let_in(old)
    add_secret(file)
    async with running_coturn(place.spare, settings, read_secrets(file)):
        assert is_let_in(minted())
        switch_secrets(file)
        new = minted()
        assert is_let_in(new)
        assert is_let_in(old)
    retire_secret(file)
    async with running_coturn(place.spare, settings, read_secrets(file)):
        assert is_let_in(new)
        assert not is_let_in(old)
