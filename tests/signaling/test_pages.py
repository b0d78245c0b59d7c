"""What can be asked over HTTP: words and status codes, and nothing more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from entrenous_signaling.hub import Hub
from entrenous_signaling.store_access import StoreAccess
from world.edgeworld import EdgeWorld, edge_world

OK = (200, '{"status": "ok"}')
DEGRADED = (503, '{"status": "degraded"}')
READY = (200, '{"status": "ready"}')
NOT_READY = (503, '{"status": "not-ready"}')


async def states(world: EdgeWorld) -> tuple[tuple[int, str], tuple[int, str]]:
    """Health and readiness, which both listeners say in the same way."""
    health, readiness = await world.get("/healthz"), await world.get("/readyz")
    assert (await world.get("/admin/healthz"), await world.get("/admin/readyz")) == (health, readiness)
    return health, readiness


async def test_a_server_is_healthy_and_ready_until_it_goes_down(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        assert await states(world) == (OK, READY)
        world.edge.start_draining(5.0)
        assert await states(world) == (OK, NOT_READY)


async def test_a_full_server_is_not_ready(tmp_path: Path) -> None:
    async with edge_world(tmp_path, max_connections=1) as world:
        async with world.connected():
            assert await states(world) == (OK, NOT_READY)
        await world.emptied()
        assert await states(world) == (OK, READY)


@pytest.mark.parametrize(("part", "name"), [(Hub, "degraded"), (StoreAccess, "stuck")])
async def test_without_its_store_a_server_is_neither(
    part: type, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with edge_world(tmp_path) as world:
        with monkeypatch.context() as patch:
            patch.setattr(part, name, property(lambda _: True))
            assert await states(world) == (DEGRADED, NOT_READY)
        assert await states(world) == (OK, READY)


async def test_states_are_not_kept_by_who_is_between(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        for path in ("/healthz", "/readyz"):
            async with world.http.get(f"http://edge{path}") as answer:
                assert answer.headers["Cache-Control"] == "no-store"


async def test_numbers_are_for_the_operator_alone(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        assert json.loads((await world.get("/v1/info"))[1]) == {"versions": [1], "registration": "open"}
        assert (await world.get("/metrics"))[0] == 404
        assert await world.get("/admin/metrics") == (200, "entrenous_sessions 0.0\n")
        assert (await world.get("/admin/v1/info"))[0] == 404
