"""Our server as operators run it, with a note of what stopped everything for how long.

    server_watched.py FILE serve OPTIONS…

At the end FILE holds one JSON object: `collection_ms`, the longest pass of the garbage collector; `collection_cpu_ms`,
the most that one has used of the processor, which does not depend on who else uses it; and `pause_ms`, by how much a
timer of the loop was late at most. All count from when the server has set its own thresholds for the collector, which
it does when it is ready: what stood still before that stopped nobody.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from entrenous_signaling.app import Listening, serve
from entrenous_signaling.cli import main, serving
from entrenous_signaling.config import ServerConfig

_BEAT_SECONDS: Final = 0.01


class Watch:
    """What is noted."""

    def __init__(self) -> None:
        self.collection = 0.0
        self.collection_cpu = 0.0
        self.pause = 0.0
        self._began = 0.0
        self._began_cpu = 0.0
        self._before = gc.get_threshold()

    @property
    def is_ready(self) -> bool:
        """Whether the server is."""
        return gc.get_threshold() != self._before

    def collecting(self, phase: Literal["start", "stop"], info: dict[str, int]) -> None:
        """A collection begins or ends (`gc.callbacks`)."""
        if phase == "start":
            self._began, self._began_cpu = time.perf_counter(), time.thread_time()
        elif self.is_ready:
            self.collection = max(self.collection, time.perf_counter() - self._began)
            self.collection_cpu = max(self.collection_cpu, time.thread_time() - self._began_cpu)

    async def serve(self, config: ServerConfig, ready: Callable[[Listening], None]) -> None:
        """`app.serve`, with a timer beside it."""
        beating = asyncio.create_task(self._beat())
        try:
            await serve(config, ready)
        finally:
            beating.cancel()

    async def _beat(self) -> None:
        while True:
            due = time.perf_counter() + _BEAT_SECONDS
            await asyncio.sleep(_BEAT_SECONDS)
            if self.is_ready:
                self.pause = max(self.pause, time.perf_counter() - due)


def run(file: Path, arguments: list[str]) -> None:
    """Run the server to its end, then write the note."""
    watch = Watch()
    gc.callbacks.append(watch.collecting)
    serving.serve = watch.serve
    try:
        main(arguments)
    finally:
        seconds = {"collection": watch.collection, "collection_cpu": watch.collection_cpu, "pause": watch.pause}
        file.write_text(json.dumps({f"{name}_ms": value * 1000 for name, value in seconds.items()}))


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2:])
