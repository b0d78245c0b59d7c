"""How fast a call is set up: real server and node processes, beside plain aiortc in the same run.

Every run is one `entrenous demo`: a server process and two node processes on loopback. Between two runs plain
aiortc makes a call within one process, so that both meet the same load of the machine. What is compared is the
wait that a person feels after picking up (accept → first decoded sound) with aiortc's whole way from its offer
to the first sound, which is what a call costs when nothing is prepared while it rings.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.plain_aiortc import offer_to_first_audio

DEMO_TIMEOUT = 120
GOALS_MS = {"dial_to_ringing_ms": 150.0, "accept_to_audio_ms": 100.0}


def one_call() -> dict[str, Any]:
    """Run the demo once; its JSON object."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "entrenous.cli", "demo", "--json", "--for", "2", "--out", folder],
            capture_output=True,
            text=True,
            timeout=DEMO_TIMEOUT,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"The demo failed with exit code {done.returncode}:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def row(name: str, values: list[float]) -> str:
    """One line of the table: median, least and greatest, and the goal where there is one."""
    goal = f"  goal < {GOALS_MS[name]:.0f}" if name in GOALS_MS else ""
    return f"{name:34} {statistics.median(values):8.1f} {min(values):8.1f} {max(values):8.1f}{goal}"


def main() -> None:
    """Measure and print; the raw rows go to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="calls of each kind (default: 10)")
    parser.add_argument("--out", type=Path, default=Path("bench-output/setup_times.json"), help="where raw rows go")
    options = parser.parse_args()

    calls: list[dict[str, Any]] = []
    plain_ms: list[float] = []
    for number in range(options.runs):
        calls.append(one_call())
        plain_ms.append(asyncio.run(offer_to_first_audio()) * 1000)
        print(f"run {number + 1} of {options.runs}", file=sys.stderr)

    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"entrenous": calls, "plain_aiortc_ms": plain_ms}, indent=1))

    print(f"{'milliseconds':34} {'median':>8} {'min':>8} {'max':>8}")
    for name in dict.fromkeys(name for call in calls for name in call["stages"]):
        print(row(name, [float(call["stages"][name]) for call in calls if name in call["stages"]]))
    print(row("plain aiortc offer to first audio", plain_ms))
    ratio = statistics.median(call["accept_to_audio_ms"] for call in calls) / statistics.median(plain_ms)
    print(f"accept to audio is {ratio:.2f} × plain aiortc's offer to first audio")
    print(f"raw rows: {options.out}")


if __name__ == "__main__":
    main()
