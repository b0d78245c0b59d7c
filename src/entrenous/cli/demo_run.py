"""The demo's play: one server process, two node processes, one call; what the three of them said becomes a DemoResult.

All processes run on one machine, and `time.monotonic()` is one clock for all processes of a Linux machine, so the
times at which two of them saw something can be subtracted from one another.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from entrenous import NodeConfig, Profile, asset_path, register

from .children import Child, ChildError, child
from .options import save_config
from .passphrase import VARIABLE

START_SECONDS = 30.0
"""How long a process may take to be ready; it is a second on an idle machine."""
SET_UP_SECONDS = 60.0
"""How long dialling, ringing and connecting may take; the call ends itself before, with a reason."""
FLUSH_SECONDS = 10.0
RECORD_TRIES, RECORD_PAUSE_SECONDS = 10, 0.3
"""How long the server may take to close the record after both have hung up."""
RING_SECONDS = 1.0
"""How long the callee lets it ring: a person needs that long too, and the connection is prepared meanwhile."""


@dataclass(frozen=True, slots=True)
class End:
    """One end of the call, as its process reported it.

    Args:
        name: of the user.
        words: the three words it showed.
        path: `direct` or `relay`.
        timings: stage → monotonic seconds.
        stats: `CallStats.to_dict()` at the end.
        outcome: `reason`, `stage`, `sentence` and `seconds`.
        recordings: the files it wrote.
    """

    name: str
    words: tuple[str, ...] | None
    path: str | None
    timings: dict[str, float]
    stats: dict[str, Any]
    outcome: dict[str, Any]
    recordings: tuple[Path, ...]

    @classmethod
    def of(cls, name: str, result: dict[str, Any], recordings: tuple[Path, ...]) -> End:
        """Read the `result` object of `call` or `answer`."""
        words = result["words"]
        return cls(
            name=name,
            words=tuple(words) if words else None,
            path=result["path"],
            timings=result["timings"],
            stats=result["stats"],
            outcome=result["outcome"],
            recordings=recordings,
        )


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What came out.

    Args:
        caller: Alice's end.
        callee: Bob's end.
        server_kept: every record that the server has.
    """

    caller: End
    callee: End
    server_kept: list[dict[str, Any]]

    @property
    def connected(self) -> bool:
        """Whether sound of each was heard by the other."""
        return all("first_audio" in end.timings for end in (self.caller, self.callee))

    @property
    def words_match(self) -> bool:
        """Whether both ends showed the same three words."""
        return self.caller.words is not None and self.caller.words == self.callee.words

    def stages(self) -> dict[str, float]:
        """Milliseconds of every stage that was reached, in the order in which a person meets them."""
        dialled, accepted = self.caller.timings.get("dialled"), self.callee.timings.get("accepted")
        spans = (
            ("dial_to_keys_ms", dialled, [self.caller.timings.get("keys")]),
            ("dial_to_ringing_ms", dialled, [self.caller.timings.get("alerting")]),
            ("accept_to_active_ms", accepted, self._both("active")),
            ("accept_to_audio_ms", accepted, self._both("first_audio")),
            ("accept_to_video_ms", accepted, self._both("first_video")),
        )
        found: dict[str, float] = {}
        for name, since, untils in spans:
            reached = [until for until in untils if until is not None]
            if since is not None and len(reached) == len(untils):
                found[name] = round(1000 * (max(reached) - since), 1)
        return found

    def total(self, stream: str, figure: str) -> int:
        """A statistic of both ends together, such as `audio` `sent`."""
        return sum(int(end.stats[stream][figure]) for end in (self.caller, self.callee))

    def to_dict(self) -> dict[str, Any]:
        """The object that `entrenous demo --json` prints."""
        stages = self.stages()
        return {
            "connected": self.connected,
            "words_match": self.words_match,
            "words": self.caller.words,
            "path": self.caller.path,
            "dial_to_ringing_ms": stages.get("dial_to_ringing_ms"),
            "accept_to_audio_ms": stages.get("accept_to_audio_ms"),
            "stages": stages,
            "audio": {figure: self.total("audio", figure) for figure in ("sent", "played", "concealed")},
            "video": {figure: self.total("video", figure) for figure in ("sent", "decoded")},
            "frames_rejected": sum(end.stats["frames_rejected"] for end in (self.caller, self.callee)),
            "ends": {
                end.name: {"outcome": end.outcome, "stats": end.stats, "recordings": end.recordings}
                for end in (self.caller, self.callee)
            },
            "server_kept": self.server_kept,
        }

    def _both(self, stage: str) -> list[float | None]:
        return [self.caller.timings.get(stage), self.callee.timings.get(stage)]


async def play(seconds: float, out: Path, tell: Callable[[str], None]) -> DemoResult:
    """Run the whole demo; every process and temporary file is gone when this returns or raises.

    Args:
        seconds: how long the call is to be.
        out: an existing folder, for the recordings.
        tell: takes a line of progress.

    Raises:
        ChildError: a process did not start, or did not do its part.
        EntrenousError: registering did not work.
    """
    with TemporaryDirectory(prefix="entrenous-demo-") as folder:
        work = Path(folder)
        tell("Starting a signaling server of our own …")
        async with _server(work / "server") as url:
            tell(f"It listens at {url}. Registering alice and bob; each gets the other's contact card.")
            passphrase = secrets.token_hex(16)
            alice = await _account(work / "alice", "alice", url, passphrase)
            bob = await _account(work / "bob", "bob", url, passphrase)
            alice.contacts.add(str(bob.card))
            bob.contacts.add(str(alice.card))
            environment = {VARIABLE: passphrase}
            heard = {name: (out / f"{name}-heard.ogg", out / f"{name}-saw.mkv") for name in ("alice", "bob")}
            answer = ["answer", "--auto", "--once", "--ring", str(RING_SECONDS)]
            answer += _options(work / "bob", "speech-b.opus", heard["bob"])
            call = ["call", str(bob.address), "--for", str(seconds)]
            call += _options(work / "alice", "speech-a.opus", heard["alice"])
            async with _node("bob", answer, environment) as callee:
                await callee.expect("ready", within=START_SECONDS)
                tell("Bob's process waits for calls. Alice's process calls, with speech and a moving picture …")
                async with _node("alice", call, environment) as caller:
                    limit = START_SECONDS + SET_UP_SECONDS + seconds + FLUSH_SECONDS
                    called, answered = await asyncio.gather(
                        _result(caller, limit, tell), _result(callee, limit, lambda _: None)
                    )
            ends = End.of("alice", called, heard["alice"]), End.of("bob", answered, heard["bob"])
            return DemoResult(*ends, server_kept=await _records(work / "server"))


async def _account(folder: Path, name: str, url: str, passphrase: str) -> Profile:
    config = NodeConfig(server=url, profile=folder, username=name, loopback_only=True)
    account = await register(config, name, passphrase=passphrase)
    save_config(config, folder)
    return account


def _options(profile: Path, speech: str, recordings: tuple[Path, Path]) -> list[str]:
    sound, film = recordings
    return [
        *("--profile", str(profile), "--json", "--no-audio-device"),
        *("--send-audio", str(asset_path(speech)), "--loop", "--test-card"),
        *("--record-audio", str(sound), "--record-video", str(film)),
    ]


@asynccontextmanager
async def _node(name: str, arguments: list[str], environment: dict[str, str]) -> AsyncIterator[Child]:
    async with child(f"{name}'s process", ["-m", "entrenous.cli", *arguments], environment=environment) as process:
        yield process


async def _result(process: Child, within: float, tell: Callable[[str], None]) -> dict[str, Any]:
    """The `result` object of a node; what happens on the way is told in its own words."""
    try:
        async with asyncio.timeout(within):
            async for value in process.objects():
                match value:
                    case {"event": "result"}:
                        return value
                    case {"event": "error", "error": sentence}:
                        raise ChildError(f"{process.name}: {sentence}")
                    case {"event": "alerting"}:
                        tell("It rings at Bob's.")
                    case {"event": "words-known", "words": words}:
                        tell(f"The handshake is complete; the three words are: {' '.join(words)}")
                    case {"event": "active", "path": path}:
                        tell(f"In call, {path}. Both hear and see each other now.")
    except TimeoutError:
        raise ChildError(f"{process.name} did not finish the call within {within:.0f} s.") from None
    raise process.failed()


@asynccontextmanager
async def _server(data: Path) -> AsyncIterator[str]:
    """A signaling server whose databases are in `data`; gives its URL."""
    serve = ["-m", "entrenous_signaling", "serve", "--insecure-loopback", "--listen", "127.0.0.1:0"]
    async with child("The signaling server", [*serve, "--data", str(data), "--json"]) as server:
        ready = await server.expect(None, within=START_SECONDS)
        yield f"ws://{ready['listening']}"


async def _records(data: Path) -> list[dict[str, Any]]:
    """What the operator of the server sees of the call, once its record is closed; nothing when it never is."""
    calls = ["-m", "entrenous_signaling", "calls", "--data", str(data), "--json"]
    for _ in range(RECORD_TRIES):
        async with child("The list of calls", calls) as printed:
            records = [record async for record in printed.objects()]
        if records:
            return records
        await asyncio.sleep(RECORD_PAUSE_SECONDS)
    return []
