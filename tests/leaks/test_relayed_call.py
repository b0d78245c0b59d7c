"""A call of two real nodes over a real relay: neither server keeps who talked, from where, or how they found a way.

Whom the programs serve is known to the test alone: names, addresses in every internet and behind every NAT, and the
session descriptions as the nodes made them, before they were sealed.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from lab.coturn import needs_coturn
from lab.network import Nat, Network, needs_network
from lab.network.programs import LabRelay, acquaint, hang_up, running_node, running_relay, running_server, talking
from lab.traces import HARMLESS, left_behind
from world.canaries import Canary, mark_text, search
from world.nodeproc import NodeProcess
from world.seizure import files_of_server, memory_of

pytestmark = [needs_network, needs_coturn]

NAMES = {home: mark_text(f"{home} in the lab") for home in ("alice", "bob")}
PATIENCE = 60.0
LISTENING_PORTS = 4
"""Of coturn over TCP: two in each internet."""


async def listen_to(relay: LabRelay, folder: Path) -> Path:
    """Start the relay anew, so that what it prints is kept; returns the file."""
    await relay.stop()
    said = folder / "said"
    with said.open("wb") as out:
        pipes = {"cwd": folder, "stdout": out, "stderr": out}
        relay.process = await relay.host.start("turnserver", "-c", relay.configuration, **pipes)
    async with asyncio.timeout(PATIENCE):
        # A process that starts has no event to wait for.
        while len((await relay.host.run("ss", "-Htln")).splitlines()) < LISTENING_PORTS:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return said


async def end(relay: LabRelay) -> None:
    """Ask the relay to end, so that it writes what it has not written yet."""
    assert relay.process is not None
    relay.process.terminate()
    await relay.process.wait()


def described(*nodes: NodeProcess) -> list[str]:
    """The lines of session descriptions that tell one call from another."""
    texts = [said["text"] for node in nodes for said in node.said if said["event"] == "Described"]
    lines = {line.strip() for text in texts for line in text.splitlines()}
    telling = ("a=candidate:", "candidate:", "a=fingerprint:", "a=ice-ufrag:", "a=ice-pwd:", "o=")
    return sorted(line for line in lines if line.startswith(telling))


async def test_no_server_keeps_anything_of_a_relayed_call(tmp_path: Path) -> None:
    homes = dict.fromkeys(NAMES, Nat.SYMMETRIC)  # between which nothing but the relay leads
    started = time.time()
    folder = tmp_path / "relay"
    folder.mkdir()
    options = {"descriptions": True}
    async with (
        Network(homes) as lab,
        running_relay(lab, tmp_path) as relay,
        running_server(lab, tmp_path, relay=relay) as server,
        running_node(lab, "alice", server, username=NAMES["alice"], tone=440.0, hear=660.0, **options) as alice,
        running_node(lab, "bob", server, username=NAMES["bob"], tone=660.0, hear=440.0, **options) as bob,
    ):
        said = await listen_to(relay, folder)
        acquaint(alice, bob)
        assert [end["path"] for end in (await talking(alice, bob)).values()] == ["relay", "relay"]
        await hang_up(alice, bob)
        lines = described(alice, bob)
        assert {line.partition(":")[0] for line in lines} >= {"a=fingerprint", "a=ice-pwd"}
        names = [Canary.text("name", name) for name in NAMES.values()]
        addresses = {address for home in lab.homes.values() for address in (home.first.public_v4, home.first.lan_v4)}
        private = [
            *(Canary.address("address", address) for address in addresses),
            *(Canary.text("description", line) for line in lines),
            *(Canary.text("call", node_call) for node_call in calls_of(bob)),
        ]
        process = server.process.process
        assert process is not None
        memory = memory_of(process.pid)
        never_seen = [canary for canary in private if canary.what == "description"]
        assert [trace for place, data in memory.items() for trace in search(place, data, never_seen)] == []
        assert any(search(place, data, names, memory=True) for place, data in memory.items())
        await end(relay)
        left = left_behind(folder, started)
    assert said in left
    assert {line for data in left.values() for line in data.splitlines()} <= HARMLESS
    assert [trace for path, data in left.items() for trace in search(str(path), data, [*names, *private])] == []
    kept = files_of_server(server.process)
    found = {place: {trace.what for trace in search(place, data, [*names, *private])} for place, data in kept.items()}
    assert found.pop("accounts.sqlite3") == {"name"}
    assert {place: kinds for place, kinds in found.items() if kinds} == {}


def calls_of(node: NodeProcess) -> list[str]:
    """The ids of the calls that rang there."""
    calls = [said["call"] for said in node.said if said["event"] == "Incoming"]
    assert calls
    return calls
