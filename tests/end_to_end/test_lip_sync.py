"""Two node processes send each other flashes and beeps: what belongs together is recorded together."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lab.recordings import read_recording
from world.nodeproc import running_node
from world.serverproc import running_server

FLASHES = 4
"""One a second, the first a second after accept; a hang-up that comes late lets in more."""


async def test_sound_and_picture_stay_together_both_ways(tmp_path: Path) -> None:
    films = {name: tmp_path / f"{name}.mkv" for name in ("alice", "bob")}
    async with (
        running_server(tmp_path) as server,
        running_node(f"ws://{server.listening}", "alice", record=films["alice"]) as alice,
        running_node(f"ws://{server.listening}", "bob", record=films["bob"]) as bob,
    ):
        alice.tell(do="add", card=bob.card)
        bob.tell(do="add", card=alice.card)
        alice.tell(do="call", whom=bob.address)
        await asyncio.gather(alice.expect("Active"), bob.expect("Active"))
        await asyncio.sleep(FLASHES + 0.8)  # the length of the film, which is made in real time
        stats = await asyncio.gather(alice.stats(), bob.stats())
        alice.tell(do="hang-up")
        assert (await alice.expect("Ended"))["reason"] == "local"
        assert (await bob.expect("Ended"))["reason"] == "remote"
    # Both ends show in real time: on a machine too busy for that, as long as they were held up is excused.
    held_up = sum(figures["audio"]["held_up_ms"] for figures in stats) / 1000
    for name, film in films.items():
        offsets = read_recording(film).offsets()
        print(f"from flash to beep at {name}, ms: {[round(1000 * offset, 1) for offset in offsets]}")
        assert len(offsets) >= FLASHES - held_up
        assert max(map(abs, offsets)) < 0.080 + held_up
