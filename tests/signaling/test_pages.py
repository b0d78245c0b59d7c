"""What can be asked over HTTP: words and status codes, and nothing more."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from entrenous_signaling.clock import SteadyClock
from entrenous_signaling.clock_watch import AGREED_SECONDS
from entrenous_signaling.cluster.state import ALONE
from entrenous_signaling.edge import CUT_OFF_SECONDS, Edge
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


@pytest.mark.parametrize(("part", "name"), [(Hub, "degraded"), (StoreAccess, "stuck"), (StoreAccess, "failing")])
async def test_without_its_store_a_server_is_neither(
    part: type, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with edge_world(tmp_path) as world:
        with monkeypatch.context() as patch:
            patch.setattr(part, name, property(lambda _: True))
            assert await states(world) == (DEGRADED, NOT_READY)
        assert await states(world) == (OK, READY)


async def test_a_node_whose_clock_is_not_that_of_the_others_sends_newcomers_elsewhere(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        world.hub.clock.ahead = -AGREED_SECONDS - 1.0
        assert await states(world) == (OK, NOT_READY)


@pytest.mark.parametrize(("seconds", "readiness"), [(0.0, READY), (CUT_OFF_SECONDS + 1.0, NOT_READY)])
async def test_a_node_that_does_not_reach_the_others_sends_newcomers_elsewhere_after_a_while(
    seconds: float, readiness: tuple[int, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = replace(ALONE, connected=False, cut_off_since=SteadyClock().now() - seconds)
    async with edge_world(tmp_path) as world:
        monkeypatch.setattr(Hub, "cluster_state", property(lambda _: state))
        assert await states(world) == (OK, readiness)


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


async def test_what_is_not_there_is_refused_with_a_word_that_tells_nothing(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        for method, path, expected in (
            ("GET", "/", (404, "not-found")),
            ("GET", "/../etc/passwd", (404, "not-found")),
            ("POST", "/healthz", (405, "method-not-allowed")),
            ("DELETE", "/v1/info", (405, "method-not-allowed")),
            ("GET", "/v1/signal", (400, "bad-request")),
        ):
            async with world.http.request(method, f"http://edge{path}", data=b"x" * 100) as answer:
                assert (answer.status, json.loads(await answer.read())) == (expected[0], {"error": expected[1]})
                assert answer.headers["Server"] == "entrenous"
                assert answer.headers["Connection"] == "close"
                assert (answer.headers.get("Allow") is not None) is (expected[0] == 405)


async def test_a_mistake_inside_is_a_word_and_a_line_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(edge: object) -> bool:
        raise RuntimeError("alice")

    async with edge_world(tmp_path) as world:
        monkeypatch.setattr(Edge, "is_healthy", property(broken))
        assert await world.get("/healthz") == (500, '{"error": "internal"}')
    assert "internal-error" in caplog.text
    assert "alice" not in caplog.text
