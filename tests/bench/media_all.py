"""All benchmarks of media one after the other, each beside plain aiortc and libwebrtc; see the module of each.

The raw rows go to a file each. Nothing is asserted: what does not reach its goal is told.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from . import media_cpu, media_ear, media_long, media_speech, media_steps


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One of them.

    Args:
        main: takes its arguments, returns the exit code.
        quick: arguments that make it short.
    """

    main: Callable[[Sequence[str]], int]
    quick: tuple[str, ...]


BENCHMARKS: Mapping[str, Benchmark] = {
    "speech": Benchmark(media_speech.main, ("--quick",)),
    "ear": Benchmark(media_ear.main, ()),
    "steps": Benchmark(media_steps.main, ("--seconds", "15")),
    "cpu": Benchmark(media_cpu.main, ("--count", "10", "--count", "20", "--count", "30")),
    "long": Benchmark(media_long.main, ("--minutes", "2")),
}


def main() -> int:
    """Run those that are asked for; exits with 77 where there can be no laboratory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="run this one; may be repeated")
    parser.add_argument("--quick", action="store_true", help="in ten minutes, roughly")
    options = parser.parse_args()
    worst = 0
    for name in options.only or BENCHMARKS:
        began = time.monotonic()
        worst = max(worst, BENCHMARKS[name].main(BENCHMARKS[name].quick if options.quick else ()))
        print(f"  {time.monotonic() - began:.0f} s\n", flush=True)
    return worst


if __name__ == "__main__":
    raise SystemExit(main())
