"""The same networks with plain aiortc, as far as it can do the thing at all: connecting, and a new address in a call.

It is given the same TURN server, over UDP, or over TCP or TLS where a network has no UDP: it uses one only, and has to
be told which. Its offer starts when the callee picks up, since nothing of it is prepared while it rings.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from lab.network import Nat, Network
from lab.network.programs import running_relay
from lab.network.sound import CallLost, sound_back
from lab.network.town import CALLEE_TONE, CALLER_TONE
from world.hearing import heard_at
from world.nodeproc import NodeProcess

from .aiortc_end import running_end, turn_servers
from .network_runs import HANDOFF_HOMES, HANDOFF_ROUND_TRIP, PAIRS, ROUND_TRIPS, Row, line_for

CONNECT_CAP = 30.0
HANDOFF_CAP = 40.0
_LOOK_SECONDS = 0.05
_TRANSPORTS = {Nat.UDP_BLOCKED: "tcp", Nat.TCP_443: "tls"}


async def connects(runs: int) -> AsyncIterator[Row]:
    """From the offer to the first sound, the later of both ends."""
    for round_trip in ROUND_TRIPS:
        for nats in PAIRS:
            with tempfile.TemporaryDirectory() as folder:
                async with _lab(Path(folder), nats, round_trip) as lab:
                    for run in range(runs):
                        row = await _one_call(lab, Path(folder), nats, handoff=False)
                        yield {"case": f"{nats[0]} to {nats[1]}, {round_trip * 1000:.0f} ms", "run": run, **row}


async def handoffs(runs: int) -> AsyncIterator[Row]:
    """Audible gap after a new address of the caller."""
    for path, nats in HANDOFF_HOMES.items():
        with tempfile.TemporaryDirectory() as folder:
            async with _lab(Path(folder), nats, HANDOFF_ROUND_TRIP) as lab:
                for run in range(runs):
                    yield {"case": path, "run": run, **(await _one_call(lab, Path(folder), nats, handoff=True))}


@asynccontextmanager
async def _lab(folder: Path, nats: tuple[Nat, Nat], round_trip: float) -> AsyncIterator[Network]:
    homes = dict(zip(("caller", "callee"), nats, strict=True))
    async with Network(homes, link=line_for(round_trip)) as lab, running_relay(lab, folder):
        yield lab


async def _one_call(lab: Network, folder: Path, nats: tuple[Nat, Nat], *, handoff: bool) -> Row:
    secret = (folder / "turn.secret").read_text().split()[0]
    async with AsyncExitStack() as stack:
        ends = []
        for home, nat, tone in zip(("caller", "callee"), nats, (CALLER_TONE, CALLEE_TONE), strict=True):
            servers = turn_servers(secret, _TRANSPORTS.get(nat, "udp"))
            hear = CALLER_TONE + CALLEE_TONE - tone
            end = running_end(lab, home, servers, authority=folder / "authority.pem", tone=tone, hear=hear)
            ends.append(await stack.enter_async_context(end))
        begun = time.monotonic()
        try:
            first = await asyncio.wait_for(_connect(*ends), CONNECT_CAP)
        except TimeoutError:
            return {"ok": False, "why": f"no sound after {CONNECT_CAP:.0f} s"}
        if not handoff:
            return {"ok": True, "seconds": first - begun}
        await asyncio.sleep(2.0)
        since = time.monotonic()
        await lab.home("caller").handoff()
        try:
            heard = await sound_back(*ends, since=since, settle=2.0, within=HANDOFF_CAP)
        except (CallLost, TimeoutError):
            return {"ok": False, "why": f"no sound after {HANDOFF_CAP:.0f} s"}
        return {"ok": True, "seconds": max(one.gap for one in heard)}


async def _connect(caller: NodeProcess, callee: NodeProcess) -> float:
    caller.tell(do="offer")
    offer = await caller.expect("Offer", within=CONNECT_CAP)
    callee.tell(do="answer", sdp=offer["sdp"])
    answer = await callee.expect("Answer", within=CONNECT_CAP)
    caller.tell(do="take", sdp=answer["sdp"])
    return max(await asyncio.gather(_first_sound(caller), _first_sound(callee)))


async def _first_sound(end: NodeProcess) -> float:
    while (first := heard_at(await end.heard())) is None:  # noqa: ASYNC110 - nobody tells when a tone is heard
        await asyncio.sleep(_LOOK_SECONDS)
    return first
