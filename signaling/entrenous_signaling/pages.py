"""The HTTP around the WebSocket: what it is, how it does, and its numbers.

`/healthz` and `/readyz` are on both listeners, since a proxy in front asks the one and the operator the other; they say
a word and no more.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from entrenous_wire.limits import PROTOCOL_VERSION, SIGNAL_PATH
from entrenous_wire.messages import RegistrationPolicy

from . import metrics
from .edge import Edge


class Pages:
    """What can be asked for.

    Args:
        edge: where nodes come in.
        registration: who may register.
        render: makes the page of metrics.
    """

    def __init__(self, edge: Edge, registration: RegistrationPolicy, render: Callable[[], bytes]) -> None:
        self._edge = edge
        self._registration = registration
        self._render = render

    def public(self) -> web.Application:
        """What nodes see."""
        app = web.Application()
        app.router.add_get(SIGNAL_PATH, self._edge.handle)
        app.router.add_get("/v1/info", self._info)
        self._add_states(app)
        return app

    def admin(self) -> web.Application:
        """What the operator sees."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        self._add_states(app)
        return app

    def _add_states(self, app: web.Application) -> None:
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/readyz", self._readiness)

    async def _info(self, request: web.Request) -> web.Response:
        return web.json_response({"versions": [PROTOCOL_VERSION], "registration": self._registration.value})

    async def _health(self, request: web.Request) -> web.Response:
        """Whether the server does its work: 200, or 503 when the store does not store."""
        return _state("ok" if self._edge.is_healthy else "degraded", self._edge.is_healthy)

    async def _readiness(self, request: web.Request) -> web.Response:
        """Whether new connections are to be sent here: 200, or 503 when it is full, going down or degraded."""
        return _state("ready" if self._edge.is_ready else "not-ready", self._edge.is_ready)

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._render(), headers={"Content-Type": metrics.CONTENT_TYPE})


def _state(word: str, good: bool) -> web.Response:
    return web.json_response({"status": word}, status=200 if good else 503, headers={"Cache-Control": "no-store"})
