"""What the other end of a call sees when a process is killed, comes back, or is ended by Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from entrenous import EndReason, Node, NodeConfig, register
from entrenous.cli.exits import ExitCode
from entrenous.cli.options import save_config
from world.nodeproc import PASSPHRASE, NodeProcess, running_node
from world.nodes import PATIENCE, config
from world.serverproc import ServerProcess


async def _connect(caller: NodeProcess, callee: NodeProcess) -> str:
    """Let one call the other; returns the id of the call."""
    caller.tell(do="add", card=callee.card)
    callee.tell(do="add", card=caller.card)
    caller.tell(do="call", whom=callee.address)
    active, _ = await asyncio.gather(caller.expect("Active"), callee.expect("Active"))
    return str(active["call"])


async def test_a_call_with_a_killed_process_is_given_up_in_time(server: ServerProcess) -> None:
    url = f"ws://{server.listening}"
    async with running_node(url, "alice") as alice, running_node(url, "bob", reconnect=1.0) as bob:
        await _connect(alice, bob)
        await alice.kill()
        await bob.expect("Reconnecting")
        assert (await bob.expect("Ended"))["reason"] == EndReason.LOST.value


async def test_a_killed_process_that_calls_again_rings_at_once(server: ServerProcess, tmp_path: Path) -> None:
    url = f"ws://{server.listening}"
    async with running_node(url, "bob", reconnect=300.0) as bob:
        async with running_node(url, "alice", profile=tmp_path / "alice") as alice:
            lost = await _connect(alice, bob)
            await alice.kill()
            await bob.expect("Reconnecting", call=lost)
        async with running_node(url, "alice", profile=tmp_path / "alice") as alice:
            alice.tell(do="call", whom=bob.address)
            again = (await alice.expect("Active"))["call"]
            assert (await bob.expect("Ended", call=lost))["reason"] == EndReason.RECALLED.value
            await bob.expect("Active", call=again)
            alice.tell(do="hang-up")
            assert (await bob.expect("Ended", call=again))["reason"] == EndReason.REMOTE.value


async def test_ctrl_c_hangs_up_and_the_other_end_hears_it(server: ServerProcess, tmp_path: Path) -> None:
    profile = tmp_path / "bob"
    own = NodeConfig(server=f"ws://{server.listening}", profile=profile, loopback_only=True)
    bob = await register(own, "bob", passphrase=PASSPHRASE)
    save_config(own, profile)
    async with Node(config(server, "alice")) as alice:
        alice.contacts.add(str(bob.card))
        bob.contacts.add(str(alice.card))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "entrenous.cli", "answer", "--auto", "--json", "--no-audio-device", "--profile", str(profile)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "ENTRENOUS_PASSPHRASE": PASSPHRASE},
        )
        try:
            assert process.stdout is not None
            async with asyncio.timeout(PATIENCE):
                assert b'"ready"' in await process.stdout.readline()
                call = await alice.call(bob.address)
                await call.wait_active()
                process.send_signal(signal.SIGINT)
                outcome = await call.wait_ended()
                printed, _ = await process.communicate()
            assert outcome.reason is EndReason.REMOTE
            assert process.returncode == ExitCode.INTERRUPTED
            assert b'"result"' in printed
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
