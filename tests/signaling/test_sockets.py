"""Sockets that hand on what comes and are written to without waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from entrenous_signaling.frames import Opcode, close_frame, control_frame, text_header
from entrenous_signaling.limits import Bounds, Rate
from entrenous_signaling.meters import Meters
from entrenous_signaling.outputs import CloseCode
from entrenous_signaling.shares import A_VISIT, BYTES_A_UNIT, Line
from entrenous_signaling.sockets import (
    CLOSE_SECONDS,
    LARGEST_READ,
    MOST_PASSED_OVER,
    SLOW_READER_BYTES,
    Departures,
    Hearing,
    NodeSocket,
)
from entrenous_wire.limits import HEARTBEAT_SECONDS
from world.edgeworld import edge_world

PING = control_frame(Opcode.PING)
RATE = Rate(per_second=100.0, burst=300.0)
SHARE = 10
"""Frames that may come in one moment at that rate."""


async def test_who_pings_and_does_not_read_is_cut(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bounds = Bounds(connection_rate=Rate(per_second=1e6, burst=1e6))
    async with edge_world(tmp_path, bounds=bounds) as world, world.connected() as stuck:
        connection = stuck.socket._response.connection
        assert connection is not None
        assert connection.transport is not None
        connection.transport.pause_reading()
        with caplog.at_level("INFO"), pytest.raises(ConnectionError):
            for _ in range(20_000):  # 2.5 MB
                await stuck.socket.ping(bytes(125))
                await asyncio.sleep(0)
        assert world.meters.cuts == 1
    assert "slow-reader" in caplog.text


class Transport:
    """Takes what is written and does not get rid of it."""

    def __init__(self) -> None:
        self.size = 0
        self.writes: list[bytes] = []
        self.closed = self.aborted = self.paused = False

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False

    def get_write_buffer_size(self) -> int:
        return self.size

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def write(self, data: bytes) -> None:
        self.size += len(data)
        self.writes.append(data)

    def close(self) -> None:
        assert not self.closed
        self.closed = True

    def abort(self) -> None:
        self.aborted = True


class Timer:
    """A call that is due."""

    def __init__(self, at: float, callback: Callable[[], None]) -> None:
        self.at, self.callback, self.cancelled = at, callback, False

    def cancel(self) -> None:
        self.cancelled = True


class Turns:
    """A loop whose turns and time the test makes."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[Callable[[], None]] = []
        self._timers: list[Timer] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._due.append(callback)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        self._timers.append(timer := Timer(self.now + seconds, callback))
        return timer  # type: ignore[return-value]  # what is used of it

    def turn(self) -> int:
        """Do what is due; how much it was."""
        due, self._due = self._due, []
        for callback in due:
            callback()
        return len(due)

    def take_long(self) -> None:
        """As who is heard may."""
        self.now += 1.0

    def turn_of_line(self) -> None:
        """Do what was to be done at once."""
        (hearing,) = [timer for timer in self.timers if timer.at <= self.now and timer.callback.__name__ == "_hear"]
        self._timers.remove(hearing)
        hearing.callback()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer.at <= end]:
            first = min(due, key=lambda timer: timer.at)
            self._timers.remove(first)
            self.now = first.at
            first.callback()
        self.now = end

    @property
    def timers(self) -> list[Timer]:
        return [timer for timer in self._timers if not timer.cancelled]


class End:
    """A socket, what is around it, and what was heard."""

    def __init__(
        self,
        turns: Turns | None = None,
        departures: Departures | None = None,
        line: Line | None = None,
        *,
        is_stranger: bool = False,
    ) -> None:
        self.turns = turns or Turns()
        self.transport, self.meters = Transport(), Meters()
        self.heard: list[object] = []
        self.answer: Callable[[], None] = lambda: None
        self.socket = NodeSocket(
            7,
            self.transport,  # type: ignore[arg-type]  # what is used of it
            self,
            lambda: self.heard.append("lost"),
            self.meters,
            departures or Departures(self.turns.call_soon),
            Hearing(RATE, line or Line(self.turns.call_later, lambda: self.turns.now), lambda: self.turns.now),
            self.turns.call_later,
        )
        if not is_stranger:
            self.socket.let_in()

    def text_received(self, number: int, text: bytes) -> None:
        self._hear(number, text)

    def binary_received(self, number: int) -> None:
        self._hear(number, "binary")

    def ping_received(self, number: int) -> None:
        self._hear(number, "ping")

    def _hear(self, number: int, what: object) -> None:
        assert number == 7
        self.heard.append(what)
        self.answer()

    def hear(self, *frames: bytes) -> None:
        self.socket.data_received(b"".join(frames))


def from_node(opcode: Opcode, payload: bytes = b"") -> bytes:
    """A frame of a node, under the mask 0."""
    assert len(payload) <= 125
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


def said(text: bytes) -> bytes:
    return from_node(Opcode.TEXT, text)


# --- what goes ---


def test_what_is_said_in_a_turn_leaves_together_and_in_order() -> None:
    turns = Turns()
    departures = Departures(turns.call_soon)
    one, other = End(turns, departures), End(turns, departures)
    one.socket.send(b"a")
    other.socket.send(b"b")
    one.socket.send(b"c")
    assert one.transport.writes == other.transport.writes == []
    assert turns.turn() == 1
    assert (one.transport.writes, other.transport.writes) == ([b"\x81\x01a\x81\x01c"], [b"\x81\x01b"])
    one.socket.send(b"d")
    assert (turns.turn(), turns.turn()) == (1, 0)
    assert one.transport.writes[1:] == [b"\x81\x01d"]


def test_a_connection_is_cut_above_the_bound_and_not_at_it() -> None:
    end = End()
    end.socket.send(b"x" * (SLOW_READER_BYTES - 10))  # and ten bytes in front of it
    end.turns.turn()
    assert not end.transport.aborted
    end.socket.send(b"x")
    end.turns.turn()
    assert end.transport.aborted
    end.socket.send(b"x")
    end.turns.turn()
    assert (end.meters.cuts, end.transport.size) == (1, SLOW_READER_BYTES + 3)


# --- what comes ---


def test_what_a_node_says_is_heard_at_once_and_a_ping_is_answered() -> None:
    end = End()
    end.hear(said(b"a"), from_node(Opcode.BINARY, b"?"), from_node(Opcode.PING, b"p"), said(b"b"))
    assert end.heard == [b"a", "binary", "ping", b"b"]
    assert end.transport.writes == [control_frame(Opcode.PONG, b"p")]


def test_pongs_that_nobody_asked_for_cost_what_pings_do() -> None:
    end = End()
    end.turns.wait(HEARTBEAT_SECONDS)
    assert end.transport.writes == [PING]
    end.hear(3 * from_node(Opcode.PONG))
    assert end.heard == ["ping", "ping"]
    assert end.transport.writes == [PING]


def test_what_comes_behind_what_closed_it_is_not_heard_and_not_answered() -> None:
    end = End()
    end.answer = lambda: end.socket.close(CloseCode.POLICY)
    end.hear(from_node(Opcode.PING), said(b"a"), from_node(Opcode.BINARY), from_node(Opcode.PING))
    assert end.heard == ["ping"]
    assert end.transport.writes == [close_frame(1008)]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x83\x80" + bytes(4), 1002),
        (b"\x81\x01a" + bytes(4), 1002),
        (b"\x81\xff" + LARGEST_READ.to_bytes(8, "big") + bytes(4), None),
        (b"\x81\xff" + (LARGEST_READ + 1).to_bytes(8, "big") + bytes(4), 1009),
    ],
)
def test_what_is_no_frame_ends_it_behind_what_came_and_was_said_before(frame: bytes, code: int | None) -> None:
    end = End()
    end.answer = lambda: end.socket.send(b"b")
    end.hear(said(b"a"), frame)
    assert end.heard == [b"a"]
    assert end.transport.writes == ([] if code is None else [text_header(1) + b"b", close_frame(code)])
    assert end.transport.closed is (code is not None)


def test_what_is_above_the_share_is_heard_in_turns_and_in_order() -> None:
    end = End()
    words = [b"%d" % number for number in range(SHARE + 3 * A_VISIT + 1)]
    end.hear(*map(said, words[:-1]))
    assert (end.heard, end.transport.paused) == (words[:SHARE], True)
    end.hear(said(words[-1]))
    assert len(end.heard) == SHARE, "others are heard first"
    end.turns.wait(0.0)
    assert (end.heard, end.transport.paused) == (words, False)
    assert len(end.turns.timers) == 1, "that of the heartbeat"
    end.hear(said(b"more"))
    assert end.transport.paused, "it has no share left"
    end.turns.wait(0.1)
    assert (end.heard[-1], end.transport.paused) == (b"more", False)
    end.hear(said(b"later"))
    assert (end.heard[-1], end.transport.paused) == (b"later", False)


def test_however_many_flood_who_does_not_is_heard_at_once_and_they_by_turns() -> None:
    turns = Turns()
    line = Line(turns.call_later, lambda: turns.now)
    floods = [End(turns, line=line) for _ in range(20)]
    for flood in floods:
        flood.answer = turns.take_long
        flood.hear((SHARE + A_VISIT + 1) * said(b"a"))
    honest = End(turns, line=line)
    line.others_were_heard = False
    honest.hear(said(b"b"))
    assert honest.heard == [b"b"]
    assert line.others_were_heard
    turns.turn_of_line()
    assert [len(flood.heard) - SHARE for flood in floods] == [A_VISIT] + 19 * [0]
    turns.turn_of_line()
    assert [len(flood.heard) - SHARE for flood in floods] == [A_VISIT, A_VISIT] + 18 * [0]


def test_a_stranger_waits_in_the_line() -> None:
    end = End(is_stranger=True)
    end.hear(said(b"a"))
    assert (end.heard, end.transport.paused) == ([], True)
    end.turns.wait(0.0)
    assert (end.heard, end.transport.paused) == ([b"a"], False)
    end.hear(said(b"b"))
    assert end.heard == [b"a"]
    end.turns.wait(0.0)
    end.socket.let_in()
    end.hear(said(b"c"))
    assert end.heard == [b"a", b"b", b"c"]


def test_long_frames_use_a_share_up_sooner() -> None:
    end = End()
    end.hear(*(SHARE * [b"\x81\xfe" + BYTES_A_UNIT.to_bytes(2, "big") + bytes(4 + BYTES_A_UNIT)]))
    assert len(end.heard) == SHARE // 2


@pytest.mark.parametrize("is_lost", [True, False])
def test_who_is_gone_before_everything_was_heard_is_heard_no_more(is_lost: bool) -> None:
    end = End()
    end.hear((SHARE + 1) * said(b"a"), b"\x81\x01a" + bytes(4), said(b"b"))
    if is_lost:
        end.socket.connection_lost(None)
    end.turns.wait(0.0)
    assert (end.heard.count(b"a"), end.heard.count(b"b")) == (SHARE + (not is_lost), 0)
    assert end.transport.closed is not is_lost, "what is no frame ends it"


def test_a_connection_that_is_cut_is_not_paused() -> None:
    end = End()
    end.answer = end.socket.abort
    end.hear((SHARE + 1) * said(b"a"))
    end.turns.wait(0.0)
    assert (len(end.heard), end.transport.paused) == (SHARE, False)


# --- goodbyes ---


def test_our_goodbye_goes_behind_what_was_said_and_nothing_behind_it() -> None:
    end = End()
    end.socket.send(b"a")
    end.socket.close(CloseCode.RESTART, b"why")
    end.socket.close(CloseCode.POLICY)
    end.socket.send(b"b")
    end.turns.turn()
    assert end.transport.writes == [text_header(1) + b"a", close_frame(1012, b"why")]
    end.hear(said(b"c"))
    assert not end.transport.closed
    end.hear(from_node(Opcode.CLOSE, b"\x03\xf4"), said(b"d"))
    assert end.transport.closed
    assert len(end.transport.writes) == 2
    end.socket.connection_lost(None)
    assert end.heard == ["lost"]
    assert end.turns.timers == []


def test_a_goodbye_that_is_not_answered_in_time_cuts_the_connection() -> None:
    end = End()
    end.socket.close(CloseCode.RESTART)
    end.turns.wait(CLOSE_SECONDS - 0.1)
    assert not end.transport.aborted
    end.turns.wait(0.1)
    assert end.transport.aborted


def test_who_floods_instead_of_answering_a_goodbye_is_cut() -> None:
    end = End()
    end.socket.close(CloseCode.POLICY)
    end.hear(MOST_PASSED_OVER * said(b"a"))
    end.turns.wait(0.0)
    assert not end.transport.aborted
    end.hear(said(b"a"), said(b"b"))
    end.turns.wait(0.0)
    assert end.transport.aborted
    assert end.heard == []


def test_their_goodbye_is_answered_behind_what_was_said_and_ends_it_in_time() -> None:
    end = End()
    end.socket.send(b"a")
    end.hear(from_node(Opcode.CLOSE, b"\x03\xe9bye"), said(b"b"), from_node(Opcode.CLOSE))
    assert end.heard == []
    assert end.transport.writes == [text_header(1) + b"a", close_frame(1001)]
    assert end.transport.closed
    end.socket.close(CloseCode.RESTART)
    assert len(end.transport.writes) == 2
    end.turns.wait(CLOSE_SECONDS)
    assert end.transport.aborted, "what lies in the buffer is not taken"


# --- silence ---


def test_who_is_silent_is_asked_and_found_within_one_and_a_half_heartbeats() -> None:
    for last in (0.0, HEARTBEAT_SECONDS / 3, HEARTBEAT_SECONDS / 2 + 0.1):
        end = End()
        end.turns.wait(last)
        end.hear(said(b"a"))
        end.turns.wait(HEARTBEAT_SECONDS - 0.1)
        assert not end.transport.aborted
        end.turns.wait(HEARTBEAT_SECONDS / 2 + 0.1)
        assert end.transport.aborted
        assert end.transport.writes == [PING]
        assert end.turns.timers == []


def test_who_answers_or_says_something_stays() -> None:
    end = End()
    for _ in range(5):
        end.turns.wait(HEARTBEAT_SECONDS)
        end.hear(from_node(Opcode.PONG))
    assert end.transport.writes == 5 * [PING]
    assert end.heard == []
    for _ in range(10):
        end.turns.wait(HEARTBEAT_SECONDS / 2 - 0.1)
        end.hear(said(b"a"))
    assert end.transport.writes == 5 * [PING]
    assert not end.transport.aborted
