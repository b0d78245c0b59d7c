"""Sockets that are written to without waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from entrenous_signaling.limits import Bounds, Rate
from entrenous_signaling.meters import Meters
from entrenous_signaling.outputs import CloseCode
from entrenous_signaling.sockets import SLOW_READER_BYTES, Departures, NodeSocket, text_frame
from world.edgeworld import edge_world


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
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.size

    def is_closing(self) -> bool:
        return self.aborted

    def write(self, data: bytes) -> None:
        self.size += len(data)
        self.writes.append(data)

    def abort(self) -> None:
        self.aborted = True


class Response:
    """A WebSocket whose pongs and closes end as the test says."""

    def __init__(self, transport: Transport, fails: type[Exception] | None = None, waits: bool = False) -> None:
        self.transport, self.fails, self.waits = transport, fails, waits
        self.closed = False

    async def pong(self, payload: bytes) -> None:
        if self.fails is not None:
            raise self.fails
        if self.waits:
            await asyncio.sleep(0)

    async def close(self, code: int) -> None:
        if self.fails is not None:
            raise self.fails


class Turns:
    """A loop whose turns the test makes."""

    def __init__(self) -> None:
        self._due: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._due.append(callback)

    def turn(self) -> int:
        """Do what is due; how much it was."""
        due, self._due = self._due, []
        for callback in due:
            callback()
        return len(due)


def node_socket(
    fails: type[Exception] | None = None, waits: bool = False, turns: Turns | None = None
) -> tuple[NodeSocket, Transport, Meters]:
    transport, meters = Transport(), Meters()
    departures = Departures((turns or Turns()).call_soon)
    made = NodeSocket(Response(transport, fails, waits), transport, meters, departures)  # type: ignore[arg-type]
    return made, transport, meters


def test_what_is_said_in_a_turn_leaves_together_and_in_order() -> None:
    turns = Turns()
    departures = Departures(turns.call_soon)
    ends = [Transport(), Transport()]
    one, other = (NodeSocket(Response(end), end, Meters(), departures) for end in ends)  # type: ignore[arg-type]
    one.send(b"a")
    other.send(b"b")
    one.send(b"c")
    assert [end.writes for end in ends] == [[], []]
    assert turns.turn() == 1
    assert [end.writes for end in ends] == [[b"\x81\x01a\x81\x01c"], [b"\x81\x01b"]]
    one.send(b"d")
    assert (turns.turn(), turns.turn()) == (1, 0)
    assert ends[0].writes[1:] == [b"\x81\x01d"]


async def test_what_was_said_goes_before_a_goodbye_and_nothing_behind_it() -> None:
    turns = Turns()
    socket, transport, _ = node_socket(turns=turns)
    socket.send(b"a")
    await socket.close(CloseCode.RESTART)
    assert transport.writes == [b"\x81\x01a"]
    transport.abort()
    socket.send(b"b")
    turns.turn()
    assert transport.writes == [b"\x81\x01a"]


def test_a_connection_is_cut_above_the_bound_and_not_at_it() -> None:
    turns = Turns()
    socket, transport, meters = node_socket(turns=turns)
    socket.send(b"x" * (SLOW_READER_BYTES - 10))  # and ten bytes in front of it
    turns.turn()
    assert not transport.aborted
    socket.send(b"x")
    turns.turn()
    assert transport.aborted
    socket.send(b"x")
    turns.turn()
    assert (meters.cuts, transport.size) == (1, SLOW_READER_BYTES + 3)


def test_a_connection_that_goes_down_under_a_pong_is_no_mistake_but_waiting_is() -> None:
    node_socket(fails=ConnectionResetError)[0].pong(b"x")
    with pytest.raises(RuntimeError, match="waited"):
        node_socket(waits=True)[0].pong(b"x")


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, "8100"),
        (125, "817d"),
        (126, "817e007e"),
        (65_535, "817effff"),
        (65_536, "817f0000000000010000"),
    ],
)
def test_frames_of_every_length_have_the_header_of_rfc_6455(size: int, header: str) -> None:
    assert text_frame(b"x" * size) == bytes.fromhex(header) + b"x" * size


@pytest.mark.parametrize("fails", [ConnectionResetError, TimeoutError])
async def test_a_goodbye_that_cannot_be_said_cuts_the_connection(fails: type[Exception]) -> None:
    socket, transport, _ = node_socket(fails=fails)
    await socket.close(CloseCode.RESTART)
    assert transport.aborted
