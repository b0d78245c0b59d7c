"""The real programs in the lab: the signaling server in `signal`, coturn in `turn`, nodes in the homes.

async with (
    Network(alice=Nat.SYMMETRIC, bob=Nat.UDP_BLOCKED) as lab,
    running_relay(lab, tmp_path) as relay,
    running_server(lab, tmp_path, relay=relay) as server,
    running_node(lab, "alice", server, tone=440, hear=660) as alice,
    running_node(lab, "bob", server, tone=660, hear=440) as bob,
):
    call = await talking(alice, bob)
    changed = time.monotonic()
    await lab.home("alice").handoff()
    ...
    gap = longest_gap(await bob.heard(), changed, time.monotonic())
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrenous_signaling.config import ServerConfig
from entrenous_signaling.private_files import write as write_private
from entrenous_signaling.turn_config import render
from entrenous_signaling.turn_secrets import add_secret, read_secrets
from lab.certificates import Authority, write
from world.hearing import heard_at
from world.nodeproc import NodeProcess
from world.nodeproc import running_node as running_node_process
from world.serverproc import ServerProcess

from .namespaces import Host
from .network import Network

SIGNAL_NAME, TURN_NAME = "signal.lab", "turn.lab"
AUTHORITY_FILE = "authority.pem"
START_SECONDS = 60.0


@dataclass
class LabServer:
    """The signaling server of a lab.

    Args:
        process: to be stopped, killed and started again.
        url: what nodes are given.
        authority: who signed its certificate, a PEM file.
    """

    process: ServerProcess
    url: str
    authority: Path


@dataclass
class LabRelay:
    """The TURN server of a lab.

    Args:
        settings: the file of the operator's settings that both servers are started with.
        configuration: the file that was rendered from them.
        host: where it runs.
        process: the running one; None while it is stopped.
    """

    settings: Path
    configuration: Path
    host: Host
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it takes connections."""
        self.process = await asyncio.create_subprocess_exec(
            *self.host.command("turnserver", "-c", self.configuration),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        async with asyncio.timeout(START_SECONDS):
            # Two ports in both internets. A process that starts has no event to wait for.
            while len((await self.host.run("ss", "-Htln")).splitlines()) < 4:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Kill it: allocations are gone."""
        process, self.process = self.process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@asynccontextmanager
async def running_relay(
    lab: Network, folder: Path, *, transports: Sequence[str] = (), **turn: object
) -> AsyncIterator[LabRelay]:
    """Run coturn in the host `turn` with the configuration that our own command renders: UDP, TCP 3478, TLS 443.

    Args:
        lab: has a host `turn`.
        folder: for its files.
        transports: of the URLs that nodes are given, such as `["udp"]`; all by default (`udp`, `tcp`, `tls`).
        turn: changes to the `[turn]` table of the operator's settings.
    """
    host = lab.host("turn")
    chain, key = write(folder, _authority(folder).issue(TURN_NAME, host.ipv4, host.ipv6), TURN_NAME)
    secret, settings, config = folder / "turn.secret", folder / "server.toml", folder / "turnserver.conf"
    table: dict[str, object] = {
        "host": TURN_NAME,
        "addresses": [host.ipv4, host.ipv6],
        "tls_cert": str(chain),
        "tls_key": str(key),
        # What is public in the lab are ranges for documentation.
        "allowed_peers": ["198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"],
        # The files of a test are for its own user only.
        "user": "root",
        **turn,
    }
    lines = [f'turn_secret_file = "{secret}"']
    if transports:
        urls = {
            "udp": f"turn:{TURN_NAME}:3478?transport=udp",
            "tcp": f"turn:{TURN_NAME}:3478?transport=tcp",
            "tls": f"turns:{TURN_NAME}:443?transport=tcp",
        }
        lines.append(f"turn_urls = {[urls[transport] for transport in transports]}")
    lines += ["[turn]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
    settings.write_text("\n".join(lines) + "\n")
    add_secret(secret)
    write_private(config, render(ServerConfig.read(settings, {}).turn, read_secrets(secret)), replace=False)
    relay = LabRelay(settings, config, host)
    try:
        await relay.start()
        yield relay
    finally:
        await relay.stop()


@asynccontextmanager
async def running_server(
    lab: Network, folder: Path, *, relay: LabRelay | None = None, **options: object
) -> AsyncIterator[LabServer]:
    """Run the signaling server in the host `signal`, with TLS on port 443, IPv4 and IPv6.

    Args:
        lab: has a host `signal`.
        folder: for its files.
        relay: lends this one.
        options: of `entrenous-signaling serve`, with underscores.
    """
    host = lab.host("signal")
    chain, key = write(folder, _authority(folder).issue(SIGNAL_NAME, host.ipv4, host.ipv6), SIGNAL_NAME)
    given: dict[str, object] = {"tls_cert": chain, "tls_key": key, "name": SIGNAL_NAME, **options}
    if relay is not None:
        given["config"] = relay.settings
    process = ServerProcess(folder, given, prefix=host.command(), listening="[::]:443")
    try:
        await process.start()
        yield LabServer(process, f"wss://{SIGNAL_NAME}:443", folder / AUTHORITY_FILE)
    finally:
        await process.stop()


@asynccontextmanager
async def running_node(
    lab: Network, home: str, server: LabServer, *, username: str = "", **options: Any
) -> AsyncIterator[NodeProcess]:
    """Run a node in a home and wait until it is online.

    Args:
        lab: has that home.
        home: its name.
        server: where it registers, as `username` or the name of the home.
        options: see `world.nodeproc.running_node`; `settings` are laid over those that the lab needs.
    """
    settings = {"ca_file": str(server.authority), **(options.pop("settings", None) or {})}
    prefix = lab.host(home).command()
    async with running_node_process(server.url, username or home, prefix=prefix, settings=settings, **options) as node:
        yield node


def acquaint(*nodes: NodeProcess) -> None:
    """Make each of the nodes a contact of all others."""
    for node in nodes:
        for other in nodes:
            if other is not node:
                node.tell(do="add", card=other.card)


async def talking(
    caller: NodeProcess, callee: NodeProcess, *, ring: float | None = None, within: float = 60.0
) -> dict[str, dict[str, Any]]:
    """Call, and wait until each end hears the tone of the other; returns the figures of `caller` and `callee`.

    In each, `first_audio` is when the tone was heard. Both nodes need `tone` and `hear`.

    Args:
        caller, callee: nodes that know each other.
        ring: seconds until a `patient` callee accepts; None where it does so by itself.
        within: seconds for each step.

    Raises:
        TimeoutError: it does not connect in that time.
        AssertionError: the call or a node has ended.
    """
    caller.tell(do="call", whom=callee.address)
    await callee.expect("Incoming", within=within)
    if ring is not None:
        await asyncio.sleep(ring)  # as long as the callee lets it ring
        callee.tell(do="accept")
    figures = {}
    async with asyncio.timeout(within):
        for name, node in (("caller", caller), ("callee", callee)):
            await node.expect("FirstMedia", within=within, unless="Ended")
            while (first := heard_at(await node.heard())) is None:  # noqa: ASYNC110 - nobody tells when a tone is heard
                await asyncio.sleep(0.05)
            figures[name] = {**(await node.stats()), "first_audio": first}
    return figures


async def path_becomes(node: NodeProcess, path: str, *, within: float = 60.0) -> None:
    """Wait until the call of a node goes over such a path, `direct` or `relay`."""
    async with asyncio.timeout(within):
        while (await node.stats())["path"] != path:  # noqa: ASYNC110 - a path that was there before is not told again
            await asyncio.sleep(0.1)


async def hang_up(*nodes: NodeProcess, within: float = 60.0) -> None:
    """End the call of these nodes, at each end, and wait until it is over there; harmless where there is none."""
    for node in nodes:
        node.tell(do="hang-up")
    await asyncio.gather(*(node.expect("Quiet", within=within) for node in nodes))


@asynccontextmanager
async def in_call(caller: NodeProcess, callee: NodeProcess) -> AsyncIterator[dict[str, dict[str, Any]]]:
    """Call, and hang up at the end, whatever happens; see `talking`."""
    try:
        yield await talking(caller, callee)
    finally:
        await hang_up(caller, callee)


_authorities: dict[Path, Authority] = {}


def _authority(folder: Path) -> Authority:
    """One for each folder, so that a node needs to trust one file only."""
    if folder not in _authorities:
        _authorities[folder] = Authority()
        (folder / AUTHORITY_FILE).write_bytes(_authorities[folder].pem)
    return _authorities[folder]


def _toml(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()
