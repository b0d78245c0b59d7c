"""The HTTP around the WebSocket: what it is, how it does, and its numbers.

`/healthz` and `/readyz` are on both listeners, since a proxy in front asks the one and the operator the other; they say
a word and no more. So do refusals: `{"error": "not-found"}`. What every path answers is in `openapi.yaml`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from http import HTTPStatus
from typing import Final

from aiohttp import web

from entrenous_wire.limits import PROTOCOL_VERSION, SIGNAL_PATH
from entrenous_wire.messages import RegistrationPolicy

from . import metrics
from .edge import Edge
from .logs import log_internal_error

_SERVER: Final = "entrenous"
"""What the answers name as the software, rather than the versions of all its parts."""


class Refusal(Enum):
    """Why a request gets no answer, beside `UpgradeRefusal`."""

    BAD_REQUEST = "bad-request"
    """No HTTP of the kind that is served here, or no WebSocket where there is one."""
    NOT_FOUND = "not-found"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    INTERNAL = "internal"
    """A mistake in the server, which its log tells of."""


_REFUSALS: Final = {
    HTTPStatus.NOT_FOUND: Refusal.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED: Refusal.METHOD_NOT_ALLOWED,
    HTTPStatus.INTERNAL_SERVER_ERROR: Refusal.INTERNAL,
}


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
        app = web.Application(middlewares=[_answer])
        app.router.add_get(SIGNAL_PATH, self._edge.handle, allow_head=False)
        app.router.add_get("/v1/info", self._info)
        self._add_states(app)
        return app

    def admin(self) -> web.Application:
        """What the operator sees."""
        app = web.Application(middlewares=[_answer])
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


@web.middleware
async def _answer(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse with a word, and end the connection behind each answer: asking again and again keeps none open."""
    response: web.StreamResponse
    try:
        response = await handler(request)
    except web.HTTPException as error:
        refusal = _REFUSALS.get(HTTPStatus(error.status), Refusal.BAD_REQUEST)
        response = web.json_response({"error": refusal.value}, status=error.status)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
    except Exception as error:  # the boundary: one request goes wrong, the others go on
        log_internal_error(error)
        response = web.json_response({"error": Refusal.INTERNAL.value}, status=HTTPStatus.INTERNAL_SERVER_ERROR)
    if not response.prepared:
        response.headers["Server"] = _SERVER
        response.force_close()
    return response


def _state(word: str, good: bool) -> web.Response:
    return web.json_response({"status": word}, status=200 if good else 503, headers={"Cache-Control": "no-store"})
