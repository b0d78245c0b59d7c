"""The files of `signaling/proxies/` as nginx and Caddy run them, in front of a real server."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from entrenous_signaling.proxies import TrustedProxies
from entrenous_wire.limits import HEARTBEAT_SECONDS
from lab.certificates import Authority, write
from lab.ports import free_port
from world.serverproc import running_server
from world.wirenode import Account, connected

FOLDER = Path(__file__).parents[2] / "signaling" / "proxies"
START_SECONDS = 20.0
PROXIES = [
    pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed"))
    for name in ("nginx", "caddy")
]


def replaced(text: str, changes: dict[str, str]) -> str:
    """The text with each of these parts in place of another; each has to be there."""
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


class Front:
    """A proxy that was started from the file that operators copy, with names, ports and certificate of the test.

    Args:
        folder: an empty directory.
        behind: HOST:PORT of what it passes on to.
    """

    def __init__(self, folder: Path, behind: str) -> None:
        self.folder = folder
        self.behind = behind
        self.port = free_port()
        authority = Authority()
        self.certificate, self.key = write(folder, authority.issue("localhost", "127.0.0.1"))
        self.trust = ssl.create_default_context(cadata=authority.pem.decode())

    @property
    def place(self) -> str:
        """HOST:PORT where clients connect."""
        return f"localhost:{self.port}"

    @property
    def said(self) -> str:
        """What the proxy wrote."""
        return (self.folder / "said.log").read_text()

    def command(self, name: str) -> list[str]:
        """Write its configuration; how it is started in the foreground."""
        return {"nginx": self._nginx, "caddy": self._caddy}[name]()

    def _nginx(self) -> list[str]:
        file = self.folder / "nginx.conf"
        server = replaced(
            (FOLDER / "nginx.conf").read_text(),
            {
                "listen 443 ssl;": f"listen 127.0.0.1:{self.port} ssl;",
                "listen [::]:443 ssl;": "",
                "calls.example.org;": "localhost;",
                "/etc/letsencrypt/live/calls.example.org/fullchain.pem": str(self.certificate),
                "/etc/letsencrypt/live/calls.example.org/privkey.pem": str(self.key),
                "127.0.0.1:8443": self.behind,
            },
        )
        places = "".join(
            f"{kind}_temp_path {self.folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        # As root, workers would become another user, who may not pass through pytest's directories.
        user = "user root;" if os.geteuid() == 0 else ""
        file.write_text(
            f"{user} daemon off; pid {self.folder}/pid; error_log stderr; events {{}}\nhttp {{ {places}\n{server}\n}}\n"
        )
        return ["nginx", "-e", "stderr", "-p", str(self.folder), "-c", str(file)]

    def _caddy(self) -> list[str]:
        file = self.folder / "Caddyfile"
        text = replaced(
            (FOLDER / "Caddyfile").read_text(),
            {
                "\tlog {": "\tadmin off\n\tauto_https disable_redirects\n\tlog {",
                "calls.example.org {": f"https://localhost:{self.port} {{",
                "\ttls {": f"\ttls {self.certificate} {self.key} {{",
                "127.0.0.1:8443": self.behind,
            },
        )
        file.write_text(text)
        return ["caddy", "run", "--config", str(file), "--adapter", "caddyfile"]


@asynccontextmanager
async def in_front(name: str, folder: Path, behind: str) -> AsyncIterator[Front]:
    folder.mkdir()
    front = Front(folder, behind)
    homes = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with (folder / "said.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *front.command(name), stdout=log, stderr=log, env=os.environ | homes
        )
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await _listens(front.port):
                assert process.returncode is None, front.said
        yield front
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        await asyncio.sleep(0.05)  # nothing tells when a proxy listens
        return False
    writer.close()
    return True


@pytest.mark.parametrize("name", PROXIES)
async def test_a_node_logs_in_through_it(name: str, tmp_path: Path) -> None:
    async with (
        running_server(tmp_path, name="localhost") as server,
        in_front(name, tmp_path / "proxy", server.listening) as front,
    ):
        url = f"wss://{front.place}/v1/signal"
        alice = Account("alice", "localhost")
        async with connected(url, front.trust) as wire:
            assert wire.hello.server == "localhost"
            await wire.register(alice)
        async with connected(url, front.trust) as wire:
            await wire.login(alice)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"https://{front.place}/v1/info", ssl=front.trust) as answer:
                assert (answer.status, (await answer.json())["registration"]) == (200, "open")
            for path in ("/", "/metrics", "/healthz"):
                async with session.get(f"https://{front.place}{path}", ssl=front.trust) as answer:
                    assert answer.status == 404


@pytest.mark.parametrize("name", PROXIES)
async def test_the_address_of_a_client_is_what_it_is_and_not_what_it_claims(name: str, tmp_path: Path) -> None:
    heard: list[list[str]] = []

    async def note(request: web.Request) -> web.Response:
        heard.append(request.headers.getall("X-Forwarded-For", []))
        return web.Response()

    app = web.Application()
    app.router.add_get("/v1/info", note)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    behind = "{}:{}".format(*runner.addresses[0])
    try:
        async with in_front(name, tmp_path / "proxy", behind) as front:
            connector = aiohttp.TCPConnector(local_addr=("127.0.0.5", 0), family=socket.AF_INET)
            claimed = {"X-Forwarded-For": "203.0.113.9"}
            url = f"https://{front.place}/v1/info"
            async with aiohttp.ClientSession(connector=connector) as session:
                async with session.get(url, headers=claimed, ssl=front.trust) as answer:
                    assert answer.status == 200
                await runner.cleanup()
                async with session.get(url, headers=claimed, ssl=front.trust) as answer:
                    assert answer.status == 502
    finally:
        await runner.cleanup()
    (values,) = heard
    assert str(TrustedProxies.parse(["127.0.0.1"]).client("127.0.0.1", values)) == "127.0.0.5"
    assert [address for address in ("127.0.0.5", "203.0.113.9") if address in front.said] == []


def test_no_proxy_hangs_up_on_a_node_that_is_silent_as_long_as_it_may_be() -> None:
    text = (FOLDER / "nginx.conf").read_text()
    assert "proxy_read_timeout 90s;" in text
    assert 2 * HEARTBEAT_SECONDS < 90
