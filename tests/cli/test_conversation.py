"""A call at the command line: shown, and steered by keys, signals and the time limit."""

from __future__ import annotations

import asyncio
import io
import json
import signal
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from entrenous import (
    Active,
    Address,
    Alerting,
    Call,
    CallOutcome,
    CallStats,
    Cause,
    Connecting,
    DeviceChange,
    DeviceError,
    Direction,
    EndReason,
    MediaFileError,
    MediaProblem,
    Side,
    Sink,
    Source,
    Stage,
    StreamKind,
    TestCardSource,
    ToneSource,
    WordsKnown,
)
from entrenous.cli import conversation, stats_file
from entrenous.cli.conversation import Conversation, Pictures, summary
from entrenous.cli.exits import ExitCode
from entrenous.cli.interrupt import Interrupt
from entrenous.cli.keys import Keys
from entrenous.cli.output import Output
from entrenous.cli.stats_file import StatsFile


class Line:
    """Carries a call out by writing down what it was told."""

    def __init__(self, *, outgoing: bool = True) -> None:
        self.told: list[str] = []
        self.unusable = ToneSource(440.0)
        self.shared = asyncio.Event()
        self.call = Call(bytes(16), Address.parse("bob@x.org"), outgoing=outgoing, has_video=False, contact=None)
        self.call.attach(self)
        self.answered = asyncio.Event()

    def accept(self, source: Source | None, sink: Sink | None) -> None:
        self.told.append("accept")
        self.answered.set()

    def decline(self) -> None:
        self.told.append("decline")
        self.end(EndReason.LOCAL)

    def hang_up(self) -> None:
        self.told.append("hang up")
        self.end(EndReason.LOCAL)

    def mute(self, kind: StreamKind, muted: bool) -> None:
        self.told.append(f"mute {kind} {muted}")

    async def send(self, source: Source | None, only: StreamKind | None) -> None:
        self.told.append(f"send {'something' if source else 'nothing'} as {only}")

    async def share_screen(self, source: Source | None) -> None:
        if source is self.unusable:
            raise DeviceError("There is no X display.")
        self.told.append(f"share {'something' if source else 'nothing'}")
        self.shared.set()

    def hold(self, held: bool) -> None:
        self.told.append(f"hold {held}")

    def stats(self) -> CallStats:
        return CallStats(seconds=3.0)

    def connect(self) -> None:
        self.call.words = ("river", "lamp", "oak")
        self.call.announce(Alerting())
        self.call.announce(WordsKnown(self.call.words, verified=True))
        self.call.announce(Connecting())
        self.call.path = "direct"
        self.call.announce(Active("direct"))
        self.call.became_active()

    def end(self, reason: EndReason) -> None:
        if self.call.outcome is None:
            self.call.finish(CallOutcome(reason, Stage.MEDIA, "It is over.", 3.0), CallStats(seconds=3.0))


class Pressed:
    """Keys that are pressed from the test."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[str] = asyncio.Queue()

    def press(self, key: str) -> None:
        self._queue.put_nowait(key)

    async def next(self) -> str:
        return await self._queue.get()


class Held:
    """A conversation that is going on."""

    def __init__(self, line: Line, output: Output, **options: Any) -> None:
        self.line = line
        self.keys = Pressed()
        self.interrupt = Interrupt(lambda: self.held.cancel())
        keys = cast(Keys, self.keys) if options.pop("person", False) else None
        self._conversation = Conversation(line.call, output, self.interrupt, keys=keys, **{"limit": None, **options})
        self.held: asyncio.Task[CallOutcome] = asyncio.create_task(self._conversation.hold())


async def test_a_script_gets_every_event_and_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    line = Line()
    held = Held(line, Output(as_json=True))
    line.connect()
    line.end(EndReason.REMOTE)
    assert (await held.held).reason is EndReason.REMOTE
    objects = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [value["event"] for value in objects] == [
        "alerting",
        "words-known",
        "connecting",
        "active",
        "ended",
        "result",
    ]
    assert objects[1]["words"] == ["river", "lamp", "oak"]
    result = objects[-1]
    assert result["outcome"] == {
        "reason": "remote",
        "stage": "media",
        "sentence": "It is over.",
        "seconds": 3.0,
        "cause": None,
        "side": None,
    }
    assert result["peer"] == "bob@x.org"
    assert result["stats"]["seconds"] == 3.0
    assert (result["path"], result["words"]) == ("direct", ["river", "lamp", "oak"])


async def test_a_script_reads_stage_cause_and_side_of_a_failed_call(capsys: pytest.CaptureFixture[str]) -> None:
    line = Line()
    held = Held(line, Output(as_json=True))
    failed = CallOutcome(EndReason.FAILED, Stage.PATH, "No way.", None, Cause.NO_RELAY, Side.THERE)
    line.call.finish(failed, CallStats())
    await held.held
    ended, result = (json.loads(text)["outcome"] for text in capsys.readouterr().out.splitlines())
    assert ended == result
    assert (result["reason"], result["stage"], result["cause"], result["side"]) == (
        "failed",
        "path",
        "no-relay",
        "there",
    )


async def test_without_a_terminal_each_change_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    line = Line()
    held = Held(line, Output())
    line.connect()
    line.end(EndReason.REMOTE)
    await held.held
    assert capsys.readouterr().out.splitlines() == [
        "It rings.",
        "Verified. The three words are: river lamp oak",
        "Answered, connecting …",
        "In call, direct.",
        "It is over.",
    ]


async def test_h_hangs_up_and_m_mutes() -> None:
    line = Line()
    output = Output()
    output.out = Console(file=io.StringIO(), force_terminal=True, width=200)
    held = Held(line, output, person=True)
    line.connect()
    line.call.announce(MediaProblem("The film is damaged."))
    line.call.announce(DeviceChange(Direction.SPEAKER, "Desk", wanted=True))
    for key in "mmxdh":
        held.keys.press(key)
    assert (await held.held).reason is EndReason.LOCAL
    assert line.told[:3] == ["mute audio True", "mute audio False", "hang up"]
    drawn = output.out.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO from above
    assert "bob@x.org · in call · river lamp oak · direct · " in drawn
    assert "MUTED" in drawn
    assert "The film is damaged.\n" in drawn
    assert "The speaker is now Desk.\n" in drawn
    assert "It is over.\n" in drawn


@pytest.mark.parametrize(("keys", "told"), [("d", ["decline"]), ("mah", ["accept", "hang up"]), ("aad", ["accept"])])
async def test_a_and_d_while_it_rings(keys: str, told: list[str]) -> None:
    line = Line(outgoing=False)
    held = Held(line, Output(), person=True, pick_up=line.call.accept)
    for key in keys:
        held.keys.press(key)
    if keys == "aad":
        await line.answered.wait()
        line.end(EndReason.REMOTE)
    await held.held
    assert line.told[: len(told)] == told


async def test_accepting_by_itself() -> None:
    line = Line(outgoing=False)
    held = Held(line, Output(as_json=True), pick_up=line.call.accept, ring=0.01)
    await line.answered.wait()
    line.end(EndReason.REMOTE)
    await held.held
    assert line.told == ["accept"]


async def test_the_caller_gives_up_before_it_is_accepted() -> None:
    line = Line(outgoing=False)
    held = Held(line, Output(as_json=True), pick_up=line.call.accept, ring=3600.0)
    line.end(EndReason.CANCELLED)
    assert (await held.held).reason is EndReason.CANCELLED
    assert line.told == []


async def test_the_limit_counts_from_the_answer() -> None:
    line = Line()
    held = Held(line, Output(as_json=True), limit=0.01)
    line.connect()
    assert (await held.held).reason is EndReason.LOCAL
    assert line.told == ["hang up"]


async def test_a_signal_hangs_up() -> None:
    line = Line()
    held = Held(line, Output(as_json=True))
    line.connect()
    await asyncio.sleep(0)
    held.interrupt.signalled(signal.SIGINT)
    assert (await held.held).reason is EndReason.LOCAL
    assert held.interrupt.code is ExitCode.INTERRUPTED


async def test_our_own_trouble_ends_the_call() -> None:
    async def fail() -> None:
        raise MediaFileError("The greeting is gone.")

    line = Line(outgoing=False)
    held = Held(line, Output(as_json=True), pick_up=fail, ring=0.0)
    with pytest.raises(MediaFileError):
        await held.held
    assert line.told == ["hang up"]


async def test_a_hang_up_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "HANG_UP_SECONDS", 0.01)
    line = Line()
    monkeypatch.setattr(line, "hang_up", lambda: line.told.append("hang up"))
    held = Held(line, Output(as_json=True))
    await asyncio.sleep(0)
    held.interrupt.signalled(signal.SIGINT)
    with pytest.raises(asyncio.CancelledError):
        await held.held
    assert line.told[0] == "hang up"


async def test_the_summary_has_what_a_script_wants() -> None:
    line = Line()
    line.connect()
    line.call.mark("dialled", 1.0)
    line.end(EndReason.REMOTE)
    summed = summary(line.call, await line.call.wait_ended())
    assert summed["timings"] == {"dialled": 1.0}
    assert set(summed) == {
        "call",
        "peer",
        "outgoing",
        "outcome",
        "words",
        "verified",
        "path",
        "timings",
        "stats",
    }


async def test_figures_are_written_while_the_call_lasts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats_file, "EVERY_SECONDS", 0.0)
    line, path = Line(), tmp_path / "call.jsonl"
    figures = StatsFile(path)
    written = asyncio.Event()
    write = figures.write

    def tell(stats: CallStats) -> None:
        write(stats)
        written.set()

    monkeypatch.setattr(figures, "write", tell)
    held = Held(line, Output(), figures=figures)
    line.connect()
    await written.wait()
    line.end(EndReason.REMOTE)
    await held.held
    assert stats_file.read_stats(path)[0] == CallStats(seconds=3.0)
    with pytest.raises(ValueError, match="closed"):
        write(CallStats())


def at_a_terminal() -> Output:
    output = Output()
    output.out = Console(file=io.StringIO(), force_terminal=True, width=200)
    return output


async def pressed(line: Line, keys: str, pictures: Pictures | None) -> str:
    """What the terminal showed while these keys were pressed in a call."""
    output = at_a_terminal()
    held = Held(line, output, person=True, pictures=pictures)
    line.connect()
    for key in keys + "h":
        held.keys.press(key)
    await held.held
    assert isinstance(output.out.file, io.StringIO)
    return output.out.file.getvalue()


async def test_camera_screen_and_hold_have_keys() -> None:
    line = Line()
    shown = await pressed(line, "ccssoo", Pictures(TestCardSource, TestCardSource))
    assert line.told == [
        "send something as video",
        "send nothing as video",
        "share something",
        "share nothing",
        "hold True",
        "hold False",
        "hang up",
    ]
    assert "SCREEN SHARED" in shown
    assert "ON HOLD" in shown


async def test_a_camera_that_was_on_from_the_beginning_is_switched_off_first() -> None:
    line = Line()
    await pressed(line, "c", Pictures(TestCardSource, camera_on=True))
    assert line.told == ["send nothing as video", "hang up"]


async def test_what_is_not_there_is_told_and_the_call_goes_on() -> None:
    line = Line()
    shown = await pressed(line, "cs", Pictures(screen=lambda: line.unusable))
    assert line.told == ["hang up"]
    assert "no camera" in shown
    assert "no X display" in shown
    assert "SCREEN SHARED" not in shown


async def test_a_screen_can_be_shared_from_the_beginning() -> None:
    line = Line()
    held = Held(line, Output(), pictures=Pictures(share=TestCardSource()))
    line.connect()
    await line.shared.wait()
    line.end(EndReason.REMOTE)
    await held.held
