"""How much the relay gives."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from lab.coturn import Coturn, credentials, lab_settings, needs_coturn, running_coturn
from lab.network import needs_network
from lab.relay_place import Place
from lab.turn_client import TurnClient, TurnRefused

pytestmark = [needs_network, needs_coturn, pytest.mark.asyncio(loop_scope="module")]


TOO_MANY = 486
QUOTAS = {"user_quota": 2, "total_quota": 3, "min_port": 50000, "max_port": 50009}


async def until_admitted(client: TurnClient) -> None:
    """Allocate, and again while there is no room: the relay counts what it has taken down a little later."""
    async with asyncio.timeout(60.0):
        while True:
            try:
                client.allocate()
            except TurnRefused as refusal:
                assert refusal.code == TOO_MANY
                await asyncio.sleep(0.02)  # nothing tells when it has counted it
            else:
                return


async def test_quotas_hold_for_one_set_of_credentials_and_for_all_together(place: Place) -> None:
    async with running_coturn(place.spare, lab_settings(place.spare, place.folder, **QUOTAS)):
        one, another = credentials(), credentials()
        with ExitStack() as stack:
            clients = [stack.enter_context(place.client(who=one, relay=place.spare)) for _ in range(3)]
            for client in clients[:2]:
                client.allocate()
            with pytest.raises(TurnRefused) as refusal:
                clients[2].allocate()
            assert refusal.value.code == TOO_MANY
            stack.enter_context(place.client(who=another, relay=place.spare)).allocate()
            late = stack.enter_context(place.client(who=credentials(), relay=place.spare))
            with pytest.raises(TurnRefused) as refusal:
                late.allocate()
            assert refusal.value.code == TOO_MANY
            clients[0].refresh(0)
            await until_admitted(late)


async def test_a_limit_of_bytes_for_all_admits_what_it_has_room_for(place: Place) -> None:
    limits = {"session_bytes_per_second": 100_000, "total_bytes_per_second": 200_000}
    async with running_coturn(place.spare, lab_settings(place.spare, place.folder, **limits)):
        with ExitStack() as stack:
            clients = [stack.enter_context(place.client(relay=place.spare)) for _ in range(4)]
            admitted = 0
            with pytest.raises(TurnRefused) as refusal:
                for client in clients:
                    client.allocate()
                    admitted += 1
            assert (admitted, refusal.value.code) == (2, TOO_MANY)


async def test_no_allocation_is_given_for_longer_than_ten_minutes(coturn: Coturn, place: Place) -> None:
    with place.client() as client:
        client.allocate()
        assert client.refresh(3600) == 600
