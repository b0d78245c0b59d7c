"""What `openapi.yaml` says is what a real server answers, and nothing else is answered but a word."""

from __future__ import annotations

import asyncio
import http.client
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrenous_signaling.meters import UpgradeRefusal
from entrenous_signaling.pages import Pages, Refusal
from entrenous_wire.limits import SIGNAL_PATH
from entrenous_wire.messages import RegistrationPolicy
from world.edgeworld import edge_world
from world.serverproc import running_server

schemathesis = pytest.importorskip("schemathesis")
checks = pytest.importorskip("schemathesis.specs.openapi.checks")

DOCUMENT = Path(__file__).parents[2] / "signaling" / "openapi.yaml"
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
WORDS = {Refusal.NOT_FOUND.value: 404, Refusal.METHOD_NOT_ALLOWED.value: 405, Refusal.BAD_REQUEST.value: 400}


def operations(tag: str) -> list[Any]:
    schema = schemathesis.openapi.from_path(DOCUMENT)
    found = [result.ok() for result in schema.get_all_operations()]
    return [operation for operation in found if tag in operation.tags]


def conforms(tag: str, listening: str) -> None:
    """Ask for everything that the document says of a listener, with whatever headers and queries."""
    for operation in operations(tag):
        # What is asked without an upgrade is right for HTTP and wrong for a WebSocket: 400 is what the document says.
        excluded = [checks.positive_data_acceptance] if operation.path == SIGNAL_PATH else []

        asked(operation, f"http://{listening}", excluded)


def asked(operation: Any, url: str, excluded: list[Any]) -> None:
    @QUICK
    @given(case=operation.as_strategy())
    def answers(case: Any) -> None:
        case.call_and_validate(base_url=url, timeout=60, excluded_checks=excluded)

    answers()


def ask(listening: str, method: str, path: str) -> tuple[int, bytes, str | None]:
    connection = http.client.HTTPConnection(listening, timeout=60)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.getheader("Allow")
    finally:
        connection.close()


def refuses_the_rest(tag: str, listening: str) -> None:
    """Whatever the document does not have is refused with a word, and nothing of what was asked comes back."""
    known = {operation.path for operation in operations(tag)}
    letters = st.text("abcdefghijklmnopqrstuvwxyz0123456789._-/%~", max_size=12).map(lambda text: f"/{text}")
    paths = st.one_of(st.sampled_from([*sorted(known), "/", "/metrics", "/v1/", "/v1/signal/", "/healthz/.."]), letters)

    @QUICK
    @given(method=st.sampled_from(METHODS), path=paths)
    def refused(method: str, path: str) -> None:
        if path in known and method in ("GET", "HEAD"):
            return
        status, body, allow = ask(listening, method, path)
        if method == "HEAD":
            assert (status, body) == (404, b"")
            return
        word = json.loads(body)["error"]
        assert json.loads(body) == {"error": word}
        assert WORDS[word] == status
        assert (allow is not None) == (status == 405) == (path in known)

    refused()


async def test_a_real_server_answers_as_its_document_says(tmp_path: Path) -> None:
    async with running_server(tmp_path, admin_listen="127.0.0.1:0") as server:
        assert server.admin is not None
        for tag, listening in (("nodes", server.listening), ("operator", server.admin)):
            await asyncio.to_thread(conforms, tag, listening)
            await asyncio.to_thread(refuses_the_rest, tag, listening)
        await server.stop()
        assert "internal-error" not in server.log.read_text()


async def test_the_document_has_every_path_and_every_word(tmp_path: Path) -> None:
    raw = schemathesis.openapi.from_path(DOCUMENT).raw_schema
    async with edge_world(tmp_path) as world:
        pages = Pages(world.edge, RegistrationPolicy.OPEN, bytes)
        apps = {"nodes": pages.public(), "operator": pages.admin()}
    routes = {tag: {resource.canonical for resource in app.router.resources()} for tag, app in apps.items()}
    for tag, found in routes.items():
        told = {path for path, item in raw["paths"].items() if tag in item["get"]["tags"]}
        assert told == found
    schemas = raw["components"]["schemas"]
    assert set(schemas["Refusal"]["properties"]["error"]["enum"]) == {
        *(refusal.value for refusal in Refusal),
        *(refusal.value for refusal in UpgradeRefusal),
    }
    assert schemas["Info"]["properties"]["registration"]["enum"] == [policy.value for policy in RegistrationPolicy]
