"""Sockets that are written to without waiting."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from entrenous_signaling.limits import Bounds, Rate
from entrenous_signaling.meters import Meters
from entrenous_signaling.outputs import CloseCode
from entrenous_signaling.sockets import SLOW_READER_BYTES, NodeSocket, text_frame
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
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.size

    def is_closing(self) -> bool:
        return self.aborted

    def write(self, data: bytes) -> None:
        self.size += len(data)

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


def node_socket(fails: type[Exception] | None = None, waits: bool = False) -> tuple[NodeSocket, Transport, Meters]:
    transport, meters = Transport(), Meters()
    made = NodeSocket(Response(transport, fails, waits), transport, meters)  # type: ignore[arg-type]
    return made, transport, meters


def test_a_connection_is_cut_above_the_bound_and_not_at_it() -> None:
    socket, transport, meters = node_socket()
    socket.send(b"x" * (SLOW_READER_BYTES - 10))  # and ten bytes in front of it
    assert not transport.aborted
    socket.send(b"x")
    assert transport.aborted
    socket.send(b"x")
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
