"""The relay that the tests of this folder ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest_asyncio

from lab.coturn import Coturn, lab_settings, make_certificate, running_coturn
from lab.network import Network
from lab.relay_place import Place


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def place() -> AsyncIterator[Place]:
    # Not in a folder of pytest's: the relay's user has to get at its certificate.
    with TemporaryDirectory(prefix="entrenous-relay-") as name:
        async with Network(servers=("turn", "spare", "caller", "other")) as lab:
            folder = Path(name)
            relay, spare, caller, other = (lab.host(name) for name in ("turn", "spare", "caller", "other"))
            make_certificate(folder, "turn.lab", relay.ipv4, relay.ipv6, spare.ipv4)
            yield Place(relay, spare, caller, other, folder)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def coturn(place: Place) -> AsyncIterator[Coturn]:
    async with running_coturn(place.relay, lab_settings(place.relay, place.folder)) as running:
        yield running
