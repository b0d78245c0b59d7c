"""A bare aiohttp server that sends each frame on to the number in its first four bytes, and does nothing else.

    server_aiohttp.py PORT [CERTIFICATE KEY]

A client asks for GET /NUMBER. Prints "ready" when it listens.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import ssl
import sys

import uvloop
from aiohttp import WSMsgType, web

_THERE = web.AppKey("there", dict[int, web.WebSocketResponse])


async def _route(request: web.Request) -> web.WebSocketResponse:
    there = request.app[_THERE]
    here = web.WebSocketResponse(compress=False, writer_limit=2**62)
    await here.prepare(request)
    number = int(request.match_info["number"])
    there[number] = here
    try:
        async for message in here:
            if message.type is WSMsgType.BINARY:
                receiver = there.get(int.from_bytes(message.data[:4], "big"))
                if receiver is not None:
                    await receiver.send_bytes(message.data)
    finally:
        del there[number]
    return here


async def _serve(port: int, certificate: list[str]) -> None:
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    app = web.Application()
    app[_THERE] = {}
    app.router.add_get(r"/{number:\d+}", _route)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context, backlog=1024).start()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(_serve(int(sys.argv[1]), sys.argv[2:]))
