"""How well the voice processors remove echo and keep the voice: every one that is installed, on the same sounds.

A room is made up of a direct path and a decaying tail; speech from the far end is played into it and heard by the
microphone some tens of milliseconds later, with a little noise. What comes out is compared with what the microphone
heard (echo return loss enhancement, ERLE, ITU-T G.168) and, when both people speak, with the near voice alone (PESQ-WB,
ITU-T P.862.2, and STOI). The two sound cards' clocks drift in one case, and in another the delay jumps as it does when
a system enlarges a buffer. Sounds do not depend on the machine's load; the time for each block does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
import pystoi
from numpy.typing import NDArray
from scipy import signal

from entrenous.assets import asset_path

RATE = 48_000
BLOCK = 480
Sound = NDArray[np.int16]
Wave = NDArray[np.float64]

ECHO_DELAYS_MS = (30, 80, 150)
DRIFT_PPM = 60
JUMP_MS = 120
SECONDS = 24
SETTLED = 8
"""Seconds after which a canceller should have learned the room; figures are of what follows."""


class Candidate(Protocol):
    """A voice processor that takes 10 ms at a time."""

    def play(self, block: Sound) -> None:
        """What the speaker is given."""

    def capture(self, block: Sound) -> Sound:
        """What the microphone heard, processed."""


class LiveKit:
    """`livekit`'s AudioProcessingModule."""

    def __init__(self, *, echo: bool, noise: bool, gain: bool) -> None:
        from livekit import rtc

        self._frame = rtc.AudioFrame
        self._module = rtc.AudioProcessingModule(
            echo_cancellation=echo, noise_suppression=noise, high_pass_filter=True, auto_gain_control=gain
        )
        self._echo = echo

    def play(self, block: Sound) -> None:
        self._module.process_reverse_stream(self._frame(bytearray(block.tobytes()), RATE, 1, BLOCK))

    def capture(self, block: Sound) -> Sound:
        frame = self._frame(bytearray(block.tobytes()), RATE, 1, BLOCK)
        if self._echo:
            self._module.set_stream_delay_ms(0)
        self._module.process_stream(frame)
        return np.frombuffer(frame.data, np.int16).copy()


class PyWebRtc:
    """`pywebrtc-audio`, whose parts work better than its AudioProcessor: that one ignores the noise level."""

    def __init__(self, *, echo: bool, noise: bool, gain: bool) -> None:
        import pywebrtc_audio as library

        self._echo = library.EchoCanceller(RATE, 1) if echo else None
        self._after: list[Any] = []
        if noise:
            self._after.append(library.NoiseSuppressor(RATE, 1, level=2))
        if gain:
            self._after.append(library.GainController(RATE, 1))
        self._far = np.zeros(BLOCK, np.int16)

    def play(self, block: Sound) -> None:
        self._far = block

    def capture(self, block: Sound) -> Sound:
        if self._echo is not None:
            block = self._echo.process(block, self._far)
        for part in self._after:
            block = part.process(block)
        return block


class Nothing:
    """No processing, for comparison."""

    def __init__(self, *, echo: bool, noise: bool, gain: bool) -> None:
        pass

    def play(self, block: Sound) -> None:
        pass

    def capture(self, block: Sound) -> Sound:
        return block


CANDIDATES: dict[str, tuple[str, Callable[..., Candidate]]] = {
    "none": ("numpy", Nothing),
    "livekit": ("livekit.rtc", LiveKit),
    "pywebrtc-audio": ("pywebrtc_audio", PyWebRtc),
}
"""By the name of the package: the module whose import is timed, and how a processor is made."""


@dataclass(frozen=True, slots=True)
class Case:
    """What the speaker plays, what the microphone hears, and the near voice alone."""

    far: Wave
    heard: Wave
    near: Wave


def speech(name: str) -> Wave:
    """The speech of an asset, once over, at about -20 dBFS while speaking."""
    resampler = av.AudioResampler("s16", "mono", RATE)
    with av.open(str(asset_path(name))) as file:
        pieces = [part.to_ndarray()[0] for frame in file.decode(audio=0) for part in resampler.resample(frame)]
    wave = np.concatenate(pieces).astype(np.float64)
    loud = wave[np.abs(wave) > 0.05 * np.abs(wave).max()]
    return wave * (3276.8 / np.sqrt(np.mean(loud**2)))


def lengthened(wave: Wave, seconds: float) -> Wave:
    """Repeated to this length."""
    return np.resize(wave, round(seconds * RATE))


def room(delay_ms: float, *, decay: float = 0.3, seed: int = 1) -> Wave:
    """An impulse response: a direct path after the delay, then a tail that falls by 60 dB in `decay` seconds."""
    chance = np.random.default_rng(seed)
    length = round(decay * RATE)
    tail = chance.standard_normal(length) * 10 ** (-3 * np.arange(length) / length) * 0.008
    tail[: RATE // 400] = 0
    tail[0] = 0.3
    return np.concatenate((np.zeros(round(delay_ms * RATE / 1000)), tail))


def echo_of(far: Wave, delay_ms: float) -> Wave:
    return signal.fftconvolve(far, room(delay_ms))[: len(far)]


def noise(samples: int, dbfs: float, seed: int = 2) -> Wave:
    return np.random.default_rng(seed).standard_normal(samples) * 32768 * 10 ** (dbfs / 20)


def drifted(wave: Wave, ppm: float) -> Wave:
    """As heard by a microphone whose clock is slower by so much."""
    at = np.arange(len(wave)) * (1 + ppm / 1e6)
    return np.interp(at, np.arange(len(wave)), wave)


def run(candidate: Candidate, case: Case) -> Wave:
    """Everything through the processor, 10 ms at a time."""
    far, heard = (np.clip(wave, -32768, 32767).astype(np.int16) for wave in (case.far, case.heard))
    out = []
    for at in range(0, len(far) - BLOCK + 1, BLOCK):
        candidate.play(far[at : at + BLOCK])
        out.append(candidate.capture(heard[at : at + BLOCK]))
    return np.concatenate(out).astype(np.float64)


def erle(case: Case, out: Wave, begin: float, end: float) -> float:
    """dB by which the echo has become less, over the blocks in which there is any."""
    span = slice(round(begin * RATE), round(end * RATE))
    heard, left = case.heard[: len(out)][span], out[span]
    blocks = len(heard) // BLOCK
    before = np.square(heard[: blocks * BLOCK]).reshape(blocks, BLOCK).sum(axis=1)
    after = np.square(left[: blocks * BLOCK]).reshape(blocks, BLOCK).sum(axis=1)
    loud = before > before.max() / 1000
    return float(10 * np.log10(before[loud].sum() / max(after[loud].sum(), 1.0)))


def voice_kept(near: Wave, out: Wave) -> tuple[float, float]:
    """PESQ-WB and STOI of the near voice, after lining both up."""
    from pesq import pesq

    span = slice(SETTLED * RATE, (SECONDS - 1) * RATE)
    clean, dirty = (signal.resample_poly(wave[: len(out)][span], 1, 3) for wave in (near, out))
    reach = 1600
    lag = int(signal.correlate(dirty, clean, method="fft")[len(clean) - 1 : len(clean) - 1 + reach].argmax())
    clean, dirty = clean[: len(clean) - lag], dirty[lag:]
    scale = 32768.0
    return (
        float(pesq(16_000, clean / scale, dirty / scale, "wb")),
        float(pystoi.stoi(clean, dirty, 16_000)),
    )


def figures(make: Callable[..., Candidate]) -> Iterator[tuple[str, float]]:
    """Every figure of one processor, by name."""
    one, other = speech("speech-a.opus"), speech("speech-b.opus")
    far = lengthened(one, SECONDS)
    quiet = noise(len(far), -65)
    nobody = np.zeros(len(far))

    def canceller() -> Candidate:
        return make(echo=True, noise=False, gain=False)

    for delay in ECHO_DELAYS_MS:
        case = Case(far, echo_of(far, delay) + quiet, nobody)
        out = run(canceller(), case)
        yield f"ERLE dB, {delay} ms", erle(case, out, SETTLED, SECONDS)
        if delay == ECHO_DELAYS_MS[1]:
            yield "ERLE dB, first 2 s", erle(case, out, 0, 2)

    case = Case(far, drifted(echo_of(far, 80), DRIFT_PPM) + quiet, nobody)
    yield f"ERLE dB, clocks {DRIFT_PPM} ppm apart", erle(case, run(canceller(), case), SETTLED, SECONDS)

    jump = 12
    heard = np.concatenate((echo_of(far, 40)[: jump * RATE], echo_of(far, 40 + JUMP_MS)[jump * RATE :]))
    case = Case(far, heard + quiet, nobody)
    out = run(canceller(), case)
    for begin, end in ((0, 2), (2, 4), (4, 10)):
        yield f"ERLE dB, {begin}-{end} s after a jump of {JUMP_MS} ms", erle(case, out, jump + begin, jump + end)

    near = lengthened(np.roll(other, RATE), SECONDS)
    case = Case(far, near + echo_of(far, 80) + quiet, near)
    yield "double talk PESQ-WB", (both := voice_kept(near, run(canceller(), case)))[0]
    yield "double talk STOI", both[1]
    soft = Case(far, near + 0.25 * echo_of(far, 80) + quiet, near)
    yield "double talk PESQ-WB, echo 12 dB softer", (both := voice_kept(near, run(canceller(), soft)))[0]
    yield "double talk STOI, echo 12 dB softer", both[1]
    alone = Case(nobody, near + quiet, near)
    yield "near voice alone PESQ-WB", voice_kept(near, run(canceller(), alone))[0]

    noisy = Case(nobody, near + noise(len(far), -40), near)
    yield "noise suppressed PESQ-WB", voice_kept(near, run(make(echo=False, noise=True, gain=False), noisy))[0]
    only = Case(nobody, noise(len(far), -50), nobody)
    for name, switches in (("noise suppression", (True, False)), ("gain", (False, True))):
        out = run(make(echo=False, noise=switches[0], gain=switches[1]), only)
        yield f"noise lowered by {name}, dB", erle(only, out, SETTLED, SECONDS)
    whisper = Case(nobody, near / 10 + noise(len(far), -75), near)
    out = run(make(echo=False, noise=False, gain=True), whisper)
    yield "soft voice lifted by gain, dB", -erle(whisper, out, SETTLED, SECONDS)


def cost(make: Callable[..., Candidate]) -> Iterator[tuple[str, float]]:
    """Microseconds of processor time for a 10 ms block, the play-out's side included, by switches."""
    far = lengthened(speech("speech-a.opus"), 4)
    case = Case(far, echo_of(far, 80) + noise(len(far), -60), far)
    for name, switches in (
        ("echo", (True, False, False)),
        ("echo, noise", (True, True, False)),
        ("echo, noise, gain", (True, True, True)),
        ("noise", (False, True, False)),
    ):
        candidate = make(echo=switches[0], noise=switches[1], gain=switches[2])
        begin = time.process_time()
        run(candidate, case)
        yield f"µs a block: {name}", (time.process_time() - begin) * 1e6 / (len(far) // BLOCK)


def import_cost(module: str) -> Iterator[tuple[str, float]]:
    """Milliseconds and mebibytes that importing the module adds to a process that has numpy already."""
    code = (
        "import json, numpy, resource, time\n"
        "size = lambda: int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize() / 2**20\n"
        "begin, before = time.process_time(), size()\n"
        f"import {module}\n"
        "print(json.dumps([(time.process_time() - begin) * 1e3, size() - before]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    milliseconds, mebibytes = json.loads(done.stdout)
    yield "import ms", milliseconds
    yield "import MiB", mebibytes


def measure(name: str) -> dict[str, float] | None:
    """Every figure of a candidate, None when it is not installed."""
    module, make = CANDIDATES[name]
    try:
        make(echo=False, noise=False, gain=False)
    except ImportError:
        return None
    return {**dict(figures(make)), **dict(cost(make)), **dict(import_cost(module))}


def main() -> None:
    """Measure and print; the raw figures go to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-output/echo.json"), help="where the figures go")
    options = parser.parse_args()
    found: dict[str, Any] = {name: measured for name in CANDIDATES if (measured := measure(name)) is not None}
    print(f"{'':46}" + "".join(f"{name:>16}" for name in found))
    for label in next(iter(found.values())):
        print(f"{label:46}" + "".join(f"{figures[label]:16.2f}" for figures in found.values()))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
