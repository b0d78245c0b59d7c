"""The pulse, on a simulated clock; and what the collector really calls."""

from __future__ import annotations

import asyncio
import gc
from itertools import pairwise

import pytest

from entrenous_signaling.meters import Generation, Meters
from entrenous_signaling.pulse import INTERVAL_SECONDS, Pulse
from world.virtual_time import VirtualTime


def test_by_how_much_the_loop_is_late_is_measured() -> None:
    time = VirtualTime()
    beats: list[float] = []

    async def main() -> Meters:
        meters, loop = Meters(), asyncio.get_running_loop()
        pulse = Pulse(meters, lambda: beats.append(loop.time()))
        pulse.start()
        time.hold_up(loop.time() + 1.2, 0.5)
        await asyncio.sleep(10 * INTERVAL_SECONDS + 0.01)
        pulse.stop()
        await asyncio.sleep(10 * INTERVAL_SECONDS)
        return meters

    meters = time.run(main)
    assert meters.lag_seconds.buckets()[-1] == ("+Inf", 9.0)
    assert len(beats) == 9
    assert meters.lag_seconds.total == pytest.approx(0.2, abs=0.01)
    assert max(later - sooner for sooner, later in pairwise(beats)) == pytest.approx(0.7, abs=0.01)


def test_collections_of_garbage_are_measured_while_it_beats() -> None:
    meters = Meters()

    async def main() -> None:
        pulse = Pulse(meters, lambda: None)
        pulse.start()
        gc.collect(2)
        gc.collect(0)
        await asyncio.sleep(1.1 * INTERVAL_SECONDS)
        pulse.stop()
        pulse.stop()

    before = list(gc.callbacks)
    VirtualTime().run(main)
    assert gc.callbacks == before
    for generation in (Generation.ALL, Generation.YOUNGEST):
        _, collections = meters.pause_seconds[generation].buckets()[-1]
        assert collections >= 1
    assert 0.0 < meters.pause_seconds[Generation.ALL].total < 60.0
