"""A caller whose address changes takes the allocation along."""

from __future__ import annotations

import os
from base64 import b64encode

import pytest

from lab.coturn import Coturn, credentials, lab_settings, needs_coturn, running_coturn
from lab.network import needs_network
from lab.relay_place import Place
from lab.turn_client import TurnRefused

pytestmark = [needs_network, needs_coturn, pytest.mark.asyncio(loop_scope="module")]

TOO_MANY = 486


async def test_the_relayed_address_and_its_permissions_move_with_the_ticket(coturn: Coturn, place: Place) -> None:
    caller, peer = credentials(), credentials()
    with place.client(who=caller) as old, place.client(who=peer) as far, place.client(who=caller) as new:
        relayed, ticket = old.allocate_mobile()
        other = far.allocate()
        old.permit(other[0])
        far.permit(relayed[0])
        following = new.take_over(ticket)
        assert following != ticket
        far.send(b"to the same address", relayed)
        assert new.receive() == (b"to the same address", other)
        new.send(b"and back", other)
        assert far.receive() == (b"and back", relayed)
        with place.client(who=caller) as third:
            third.take_over(following)
            far.send(b"once more", relayed)
            assert third.receive() == (b"once more", other)


async def test_a_ticket_of_another_caller_or_none_moves_nothing(coturn: Coturn, place: Place) -> None:
    caller = credentials()
    with place.client(who=caller) as owner:
        _, ticket = owner.allocate_mobile()
        with place.client(who=credentials()) as stranger, pytest.raises(TurnRefused) as refusal:
            stranger.take_over(ticket)
        assert refusal.value.code in (401, 441)
        with place.client(who=caller) as guesser, pytest.raises(TurnRefused) as refusal:
            guesser.take_over(b64encode(os.urandom(7) + b"\0"))
        assert refusal.value.code in (404, 437)
        assert owner.refresh() == 600, "it is still where it was"


async def test_a_ticket_is_good_for_one_time_and_never_the_same(coturn: Coturn, place: Place) -> None:
    caller = credentials()
    with place.client(who=caller) as old, place.client(who=caller) as new, place.client(who=caller) as late:
        seen = [old.allocate_mobile()[1]]
        seen.append(new.take_over(seen[0]))
        with pytest.raises(TurnRefused):
            late.take_over(seen[0])
        with place.client(who=caller) as another:
            seen.append(another.allocate_mobile()[1])
        assert len(set(seen)) == 3
        assert min(map(len, seen)) >= 12


async def test_moving_takes_no_more_of_the_quota(place: Place) -> None:
    async with running_coturn(place.spare, lab_settings(place.spare, place.folder, user_quota=2)):
        caller = credentials()
        with place.client(who=caller, relay=place.spare) as first:
            _, ticket = first.allocate_mobile()
            for _ in range(4):
                with place.client(who=caller, relay=place.spare) as mover:
                    ticket = mover.take_over(ticket)
                    mover.credentials = None  # so that it leaves without a word
            with place.client(who=caller, relay=place.spare) as second:
                second.allocate()
                with place.client(who=caller, relay=place.spare) as third, pytest.raises(TurnRefused) as refusal:
                    third.allocate()
                assert refusal.value.code == TOO_MANY


async def test_where_the_operator_forbids_it_nothing_is_moved(place: Place) -> None:
    async with running_coturn(place.spare, lab_settings(place.spare, place.folder, mobility=False)):
        with place.client(relay=place.spare) as client, pytest.raises(TurnRefused) as refusal:
            client.allocate_mobile()
        assert refusal.value.code == 405
