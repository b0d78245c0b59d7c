"""One end of a call as a program, told what to do like `world.nodeproc`: the same for all engines that are compared.

It is told by lines of JSON on standard input (`offer`, `answer`, `take`, `start`, `begin`, `figures`, `write`) and says
by lines on standard output. It may hold many ends at once, `count` of them, each with an index.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from entrenous import MicrophoneSource, Sink, Source, SpeakerSink
from world.nodeproc import NodeProcess

from .media_material import Clip, speech
from .media_people import Listener, Speaker

SYSTEMS = ("entrenous", "aiortc", "libwebrtc")
_LINE = 1 << 22
_START_SECONDS = 60.0


class End(Protocol):
    """One end of a call of some engine, made with a source, a sink, and whether it offers."""

    async def offer(self) -> str:
        """Make the description that is answered; with all addresses in it."""

    async def answer(self, offer: str) -> str:
        """Take it and make the other one."""

    async def take(self, answer: str) -> None:
        """Take the answer."""

    async def start(self) -> None:
        """Once connected, let media flow."""

    async def figures(self) -> dict[str, Any]:
        """`blocks` of 20 ms that were played so far and how many of them `concealed` something that was missing."""

    async def close(self) -> None:
        """End it."""


@asynccontextmanager
async def running_end(
    system: str, *, prefix: Sequence[str] = (), environment: dict[str, str] | None = None, **options: object
) -> AsyncIterator[NodeProcess]:
    """Start the program; it is killed afterwards.

    Args:
        system: one of `SYSTEMS`.
        prefix: goes before its command line: to run it in a namespace, or on one core.
        environment: in place of ours.
        options: `speaks` (`a` or `b`), `size` (of the pictures it sends, `[width, height]`), `again` (whether the
            track is repeated), `keep_sound`, `keep_picture`, `recent` (see `Listener`), `offers`, `loopback`,
            `count`, `devices` (True: microphone and speaker of this machine), `video_bitrate` (that all engines
            are held to; without it each chooses).
    """
    search = os.pathsep.join((str(Path(__file__).parents[1]), *filter(None, sys.path)))
    process = await asyncio.create_subprocess_exec(
        *(*prefix, sys.executable, "-m", "bench.media_end", json.dumps({"system": system, **options})),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=None if "BENCH_DEBUG" in os.environ else asyncio.subprocess.DEVNULL,
        env={**(os.environ if environment is None else environment), "PYTHONPATH": search},
        limit=_LINE,
    )
    end = NodeProcess(process)
    try:
        await end.expect("Ready", within=_START_SECONDS)
        yield end
    finally:
        with suppress(ProcessLookupError):  # it may have ended by itself
            await end.kill()


def _make(system: str, source: Source, sink: Sink, **options: Any) -> End:
    # Imported here: each process loads the engine that it runs and no other.
    match system:
        case "entrenous":
            from .media_ours import OurEnd as Chosen
        case "aiortc":
            from .media_aiortc import AiortcEnd as Chosen  # type: ignore[assignment]
        case "libwebrtc":
            from .media_libwebrtc import LibwebrtcEnd as Chosen  # type: ignore[assignment]
        case "bare":
            from .media_bare import BareEnd as Chosen  # type: ignore[assignment]
        case unknown:
            raise ValueError(unknown)
    return Chosen(source, sink, **options)


class _Program:
    def __init__(self, options: dict[str, Any]) -> None:
        given: dict[str, Any] = {
            "speaks": "a",
            "size": None,
            "again": False,
            "keep_sound": True,
            "keep_picture": 0,
            "recent": None,
            "video_bitrate": None,
            "offers": False,
            "loopback": False,
            "count": 1,
            "devices": False,
            **options,
        }
        track, clip = speech(given["speaks"]), None if given["size"] is None else Clip(*given["size"])
        self._ends: list[End] = []
        self._speakers: list[Speaker] = []
        self._listeners: list[Listener] = []
        for _ in range(given["count"]):
            source: Source
            sink: Sink
            if given["devices"]:
                source, sink = MicrophoneSource(), SpeakerSink()
            else:
                source = Speaker(track, clip, again=given["again"])
                sink = Listener(**{name: given[name] for name in ("keep_sound", "keep_picture", "recent")})
                self._speakers.append(source)
                self._listeners.append(sink)
            options_of_end = {name: given[name] for name in ("offers", "loopback", "video_bitrate")}
            self._ends.append(_make(given["system"], source, sink, **options_of_end))

    async def obey(self, command: dict[str, Any]) -> None:
        index = command.get("index", 0)
        match command["do"]:
            case "offer":
                _say("Described", index=index, text=await self._ends[index].offer())
            case "answer":
                _say("Described", index=index, text=await self._ends[index].answer(command["text"]))
            case "take":
                await self._ends[index].take(command["text"])
            case "start":
                await asyncio.gather(*(end.start() for end in self._ends))
                _say("Started")
            case "begin":
                _say("Begun", begun=[speaker.begin() for speaker in self._speakers])
            case "figures":
                figures = [await end.figures() for end in self._ends]
                late = [(listener.blocks, listener.late) for listener in self._listeners]
                if command.get("collect"):
                    gc.collect()
                _say("Figures", ends=figures, late=late, **_own_figures())
            case "write":
                for place, listener in enumerate(self._listeners):
                    listener.write(Path(command["folder"]) / f"{command['name']}-{place}.npz")
                _say("Written")
            case unknown:
                raise ValueError(unknown)


def _own_figures() -> dict[str, Any]:
    """Of this process: CPU seconds of all its threads, resident octets, tasks."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "cpu": time.process_time(),
        "resident": pages * os.sysconf("SC_PAGE_SIZE"),
        "tasks": len(asyncio.all_tasks()),
    }


def _say(event: str, **details: object) -> None:
    print(json.dumps({"event": event, "at": time.monotonic(), **details}), flush=True)


async def _main(options: dict[str, Any]) -> None:
    lines = asyncio.StreamReader(limit=_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    program = _Program(options)
    _say("Ready")
    while line := await lines.readline():
        await program.obey(json.loads(line))


if __name__ == "__main__":
    asyncio.run(_main(json.loads(sys.argv[1])))
