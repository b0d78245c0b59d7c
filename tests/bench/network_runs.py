"""What `network_times` measures: each scenario yields one row for each time that it was played through."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.network import Home, Link, Nat
from lab.network.programs import hang_up, talking
from lab.network.sound import CallLost, sound_back
from lab.network.town import Town, running_town
from world.nodeproc import NodeProcess

Row = dict[str, object]

ROUND_TRIPS = (0.020, 0.100)
HANDOFF_ROUND_TRIP = 0.040
RING_SECONDS = 1.0
"""How long it rings before it is answered: nobody is faster."""
OUTAGE_SECONDS = 10.0
BETWEEN_NETWORKS = 1.0
REST_SECONDS = 3.0
"""Before each change: nobody moves more often, and a call may put its house in order between."""
CAP_SECONDS = 30.0
"""After which a call is taken for lost, or for one that does not connect."""
LOSS = 0.2
BURST = 0.1
"""Seconds for which everything is lost, on the mean."""
LOSSY_AT_ONCE = 4

PAIRS = (
    (Nat.NONE, Nat.NONE),
    (Nat.FULL_CONE, Nat.SYMMETRIC),
    (Nat.PORT_RESTRICTED, Nat.PORT_RESTRICTED),
    (Nat.PORT_RESTRICTED, Nat.SYMMETRIC),
    (Nat.SYMMETRIC, Nat.SYMMETRIC),
    (Nat.UDP_BLOCKED, Nat.PORT_RESTRICTED),
    (Nat.PORT_RESTRICTED, Nat.UDP_BLOCKED),
    (Nat.TCP_443, Nat.PORT_RESTRICTED),
    (Nat.UDP_BLOCKED, Nat.UDP_BLOCKED),
)
HANDOFF_HOMES = {
    "direct": (Nat.PORT_RESTRICTED, Nat.PORT_RESTRICTED),
    "relay": (Nat.SYMMETRIC, Nat.SYMMETRIC),
}


def line_for(round_trip: float) -> Link:
    """The access lines between which a packet from home to home and back takes that long: it passes four."""
    return Link(delay=round_trip / 4)


async def connects(runs: int) -> AsyncIterator[Row]:
    """From picking up to the first sound, the later of both ends."""
    kinds = sorted({nat for pair in PAIRS for nat in pair})
    homes = {f"{nat}-{end}": nat for nat in kinds for end in ("caller", "callee")}
    with tempfile.TemporaryDirectory() as folder:
        async with running_town(Path(folder), homes, patient=True) as town:
            for round_trip in ROUND_TRIPS:
                link = line_for(round_trip)
                await asyncio.gather(*(home.shape(delay=link.delay) for home in town.lab.homes.values()))
                for (one, other), run in itertools.product(PAIRS, range(runs)):
                    row = await _connect(town.nodes[f"{one}-caller"], town.nodes[f"{other}-callee"], RING_SECONDS)
                    yield {"case": f"{one} to {other}, {round_trip * 1000:.0f} ms", "run": run, **row}


async def _connect(one: NodeProcess, other: NodeProcess, ring: float) -> Row:
    try:
        figures = await talking(one, other, ring=ring, within=CAP_SECONDS)
    except (TimeoutError, AssertionError) as error:
        await hang_up(one, other)
        return {"ok": False, "why": repr(error)}
    accepted = figures["callee"]["timings"]["accepted"]
    firsts = {end: figures[end]["first_audio"] - accepted for end in figures}
    await hang_up(one, other)
    return {"ok": True, "seconds": max(firsts.values()), "path": figures["caller"]["path"], **firsts}


Change = Callable[[Home, Home, int], Awaitable[object]]


async def _move(caller: Home, callee: Home, run: int) -> None:
    await (callee if run % 2 else caller).handoff()


async def _move_both(caller: Home, callee: Home, run: int) -> None:
    await asyncio.gather(caller.handoff(), callee.handoff())


async def _rebind(caller: Home, callee: Home, run: int) -> None:
    await (callee if run % 2 else caller).rebind()


async def _break(caller: Home, callee: Home, run: int) -> None:
    broken = callee if run % 2 else caller
    await broken.shape(up=False)
    await asyncio.sleep(OUTAGE_SECONDS)
    await broken.shape(up=True)


async def _change_wireless(caller: Home, callee: Home, run: int) -> None:
    mover = callee if run % 2 else caller
    await mover.unplug()
    await asyncio.sleep(BETWEEN_NETWORKS)
    await mover.plug_in(public=True, lan=True)


@dataclass(frozen=True, slots=True)
class Handoff:
    """A change of the network in the middle of calls.

    Args:
        change: makes it, at one end or the other by turns.
        from_its_end: what counts is the time from the end of the change to the next sound, not the gap.
    """

    change: Change
    from_its_end: bool = False


HANDOFFS: Mapping[str, Handoff] = {
    "address change": Handoff(_move),
    "NAT rebinding": Handoff(_rebind),
    "both ends at once": Handoff(_move_both),
    "link down 10 s": Handoff(_break, from_its_end=True),
    "another wireless": Handoff(_change_wireless, from_its_end=True),
}


async def handoffs(name: str, runs: int) -> AsyncIterator[Row]:
    """Audible gaps, the longer of both ends, in a direct and in a relayed call."""
    handoff = HANDOFFS[name]
    for path, nats in HANDOFF_HOMES.items():
        with tempfile.TemporaryDirectory() as folder:
            homes = dict(zip(("caller", "callee"), nats, strict=True))
            async with running_town(Path(folder), homes, link=line_for(HANDOFF_ROUND_TRIP)) as town:
                one, other = town.nodes["caller"], town.nodes["callee"]
                in_call = False
                for run in range(runs):
                    if not in_call:
                        await talking(one, other, within=CAP_SECONDS)
                    await asyncio.sleep(REST_SECONDS)
                    row = await _hand_off(town, handoff, run)
                    in_call = bool(row["ok"])
                    if not in_call:
                        await hang_up(one, other)
                    yield {"case": path, "run": run, **row}


async def _hand_off(town: Town, handoff: Handoff, run: int) -> Row:
    nodes = town.nodes["caller"], town.nodes["callee"]
    since = time.monotonic()
    await handoff.change(town.home("caller"), town.home("callee"), run)
    changed = time.monotonic()
    try:
        heard = await sound_back(*nodes, since=since, asked=changed, settle=2.0, within=CAP_SECONDS)
    except (CallLost, TimeoutError) as lost:
        return {"ok": False, "why": repr(lost)}
    figures = [round(one.back if handoff.from_its_end else one.gap, 4) for one in heard]
    path = (await nodes[0].stats())["path"]
    return {"ok": True, "seconds": max(figures), "caller": figures[0], "callee": figures[1], "path": path}


async def lossy(runs: int, burst: float) -> AsyncIterator[Row]:
    """Whether calls connect, and how soon, while every fifth packet of one end is lost both ways."""
    pairs = range(LOSSY_AT_ONCE)
    homes = {f"{end}{pair}": Nat.PORT_RESTRICTED for pair in pairs for end in ("caller", "callee")}
    with tempfile.TemporaryDirectory() as folder:
        async with running_town(Path(folder), homes, link=line_for(HANDOFF_ROUND_TRIP), patient=True) as town:
            await asyncio.gather(*(town.home(f"caller{pair}").shape(loss=LOSS, burst=burst) for pair in pairs))
            ends = [(town.nodes[f"caller{pair}"], town.nodes[f"callee{pair}"]) for pair in pairs]
            for run in range(-(-runs // LOSSY_AT_ONCE)):
                rows = await asyncio.gather(*(_connect(*pair, RING_SECONDS) for pair in ends))
                for number, row in enumerate(rows):
                    yield {"case": "connects", "run": run * LOSSY_AT_ONCE + number, **row}
