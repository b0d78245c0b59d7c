"""From mouth to ear through real PortAudio devices on a clean local network, beside aiortc and libwebrtc.

A private PulseAudio has a sink of two channels: speech is played into the left one, which is also what the caller's
microphone hears, and the callee's speaker plays into the right one. Its monitor is recorded, so both are heard by one
clock: how far right is behind left is all of it, both sound systems included. All engines are given our own microphone
and speaker, since what lies between them is what differs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import wave
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from lab.network import Access, Link, Nat, Network
from lab.pulse import SoundCard, sound_card

from .media_calls import running_call
from .media_end import SYSTEMS
from .media_material import RATE, SCORE_RATE, Sound, Track, speech
from .media_measures import delays, quantile
from .media_report import Row, run

LAN_DELAY = 0.0005
SETTLE_SECONDS = 3.0
GOAL = 0.120
_ROOM = (
    ("module-null-sink", "sink_name=room", f"rate={RATE}", "channels=2", "channel_map=front-left,front-right"),
    ("module-null-sink", "sink_name=void", f"rate={RATE}", "channels=1"),
    ("module-remap-sink", "sink_name=mouth", "master=room", "channels=1", "channel_map=front-left", "remix=no"),
    ("module-remap-sink", "sink_name=ear", "master=room", "channels=1", "channel_map=front-right", "remix=no"),
    (
        "module-remap-source",
        "source_name=left",
        "master=room.monitor",
        "channels=1",
        "channel_map=front-left",
        "remix=no",
    ),
)


async def measure(systems: Sequence[str], runs: int) -> AsyncIterator[Row]:
    """A row for each run of each engine."""
    for number in range(runs):
        for system in systems:
            row: Row = {"case": "LAN, PortAudio", "system": system, "run": number}
            try:
                yield {**row, "ok": True, **(await _listen(system))}
            except (TimeoutError, AssertionError) as error:
                yield {**row, "ok": False, "why": repr(error)}


async def _listen(system: str) -> Row:
    homes = {"a": Access(Nat.NONE), "b": Access(Nat.NONE)}
    with sound_card() as card, tempfile.TemporaryDirectory() as folder:
        for module in _ROOM:
            card.pactl("load-module", *module)
        # Each hears and plays where the other does not: there is no echo.
        caller = {**os.environ, **card.environment, "PULSE_SOURCE": "left", "PULSE_SINK": "void"}
        callee = {**os.environ, **card.environment, "PULSE_SOURCE": "void.monitor", "PULSE_SINK": "ear"}
        async with (
            Network(homes, link=Link(delay=LAN_DELAY / 2)) as lab,
            running_call(system, lab, ("a", "b"), environments=(caller, callee), devices=True) as call,
        ):
            await asyncio.sleep(SETTLE_SECONDS)
            before = await call.figures()
            said, heard = await _record(card, Path(folder))
            after = await call.figures()
    return _compared(said, heard) | {
        "cpu": round(after[1]["cpu"] - before[1]["cpu"], 3),
        "raw": [figures["ends"][0] for figures in after],
    }


async def _record(card: SoundCard, folder: Path) -> tuple[Sound, Sound]:
    """Play the speech once, and record mouth and ear meanwhile; 48 kHz."""
    spoken, recorded = folder / "spoken.wav", folder / "recorded.raw"
    with wave.open(str(spoken), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(speech("a").samples.tobytes())
    form = ["--raw", "--format=s16le", f"--rate={RATE}", "--channels=2", "--channel-map=front-left,front-right"]
    recorder = await asyncio.create_subprocess_exec(
        "parec", "--device=room.monitor", "--no-remix", *form, str(recorded), env=card.environment
    )
    try:
        player = await asyncio.create_subprocess_exec("paplay", "--device=mouth", str(spoken), env=card.environment)
        async with asyncio.timeout(speech("a").seconds + 30.0):
            await player.wait()
        await asyncio.sleep(1.0)
    finally:
        recorder.terminate()
        await recorder.wait()
    both = np.fromfile(recorded, np.int16)
    both = both[: len(both) // 2 * 2].reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _compared(said: Sound, heard: Sound) -> dict[str, float | None]:
    down = [
        np.rint(resample_poly(channel.astype(np.float64), 1, RATE // SCORE_RATE)).clip(-32768, 32767).astype(np.int16)
        for channel in (said, heard)
    ]
    track = Track(said, down[0], ((0.0, len(down[0]) / SCORE_RATE),))
    lags = [lag for _, lag in delays(track, down[1])]
    return {
        "delay": quantile(lags, 0.5),
        "delay_p95": quantile(lags, 0.95),
        "delay_worst": quantile(lags, 1.0),
        "recognised": len(lags),
    }


def summary(rows: Sequence[Row]) -> list[str]:
    """A line for each engine: the median of its runs."""
    lines = [f"  {'':12}{'median ms':>11}{'p95 ms':>9}{'worst ms':>10}{'ratio ours':>12}"]
    medians = {}
    for system in SYSTEMS:
        own = [row for row in rows if row["system"] == system and row["ok"] and row["delay"] is not None]
        medians[system] = [
            quantile([float(str(row[name])) for row in own], 0.5) for name in ("delay", "delay_p95", "delay_worst")
        ]
    ours = medians["entrenous"][0]
    for system, (middle, high, worst) in medians.items():
        if middle is None or high is None or worst is None:
            lines.append(f"  {system:12}{'-':>11}")
            continue
        ratio = f"{ours / middle:12.2f}" if ours is not None else f"{'-':>12}"
        lines.append(f"  {system:12}{1000 * middle:11.0f}{1000 * high:9.0f}{1000 * worst:10.0f}{ratio}")
    lines.append(f"  goal: ours ≤ {1000 * GOAL:.0f} ms")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; exits with 77 where there can be no laboratory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--system", action="append", choices=SYSTEMS, help="this engine; may be repeated")
    parser.add_argument("--runs", type=int, default=1, help="of each engine (default: %(default)s)")
    options = parser.parse_args(arguments)
    return run("media-ear", measure(options.system or SYSTEMS, options.runs), summary)


if __name__ == "__main__":
    raise SystemExit(main())
