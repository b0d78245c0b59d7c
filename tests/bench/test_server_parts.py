"""The parts of the server benchmarks that can be wrong without anybody seeing it in their figures."""

from __future__ import annotations

import asyncio
import base64
import gc
from collections import deque
from typing import Any, cast

import pytest

from entrenous_wire.codec import decode_from_node
from entrenous_wire.messages import FetchDevices, Kind, Send

from .server_calls import BODIES, call
from .server_clients import Client, ClientError
from .server_cluster import summary, worth
from .server_load import MARK, masked_frame
from .server_ours import account, each, step
from .server_report import line, median_of
from .server_watched import Watch


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 1500, 65_535])
def test_a_masked_frame_says_its_length_and_gives_its_payload_back(size: int) -> None:
    payload = bytes(at * 7 & 255 for at in range(size))
    frame, header = masked_frame(payload, text=True, mask=b"\x01\x80\xff\x10")
    assert frame[0] == 0x81
    length = frame[1] & 127 if header == 2 else int.from_bytes(frame[2:4], "big")
    assert (frame[1] & 128, length) == (128, size)
    mask, masked = frame[header : header + 4], frame[header + 4 :]
    assert bytes(byte ^ mask[at & 3] for at, byte in enumerate(masked)) == payload


def test_each_cycle_says_a_message_of_another_id_that_the_server_takes() -> None:
    said = step(account(0), account(1), side=0, number=3, kind=Kind.SIGNAL, size=1024)
    assert said.payload.count(MARK) == 2  # its id and its call
    messages = [decode_from_node(said.payload.replace(MARK, letters)) for letters in (b"A" * 12, b"PBAAAAAAAAAA")]
    assert all(isinstance(message, Send) and len(message.body) == 1024 for message in messages)
    assert len({message.id for message in messages if isinstance(message, Send)}) == 2


def test_a_call_opens_and_closes_a_record_of_its_own_with_bodies_of_their_size() -> None:
    steps = call(4, 5)
    said = [decode_from_node(one.payload.replace(MARK, b"BBBBBBBBBBBB")) for one in steps]
    assert isinstance(said[0], FetchDevices)
    sends = [message for message in said if isinstance(message, Send)]
    assert [len(message.body) for message in sends] == [
        *(BODIES[name] for name in ("ring", "ringing", "accept", "candidates", "candidates", "end")),
    ]
    assert len({message.id for message in sends}) == 6
    assert len({message.call for message in sends}) == 1
    assert [message.kind for message in sends] == [
        *(Kind.RING, Kind.SIGNAL, Kind.ACCEPT, Kind.SIGNAL, Kind.SIGNAL, Kind.END),
    ]
    assert base64.b64encode(sends[0].call).startswith(b"BBBBBBBBBBBB")
    assert steps[0].side == 0
    assert {message.to for message in sends} == {account(4).address, account(5).address}


class _Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_cut = False

    def write(self, data: Any) -> None:
        self.written += data

    def abort(self) -> None:
        self.is_cut = True


def _client() -> tuple[Client, _Transport]:
    client, transport = Client(), _Transport()
    client.connection_made(transport)
    return client, transport


async def test_a_client_takes_frames_however_they_are_cut() -> None:
    stream = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n" + b"\x81\x05hello"
    stream += b"\x82\x7e\x01\x00" + bytes(256) + b"\x89\x02hi" + b"\x81\x00"
    client, transport = _client()
    for at in range(len(stream)):
        client.data_received(stream[at : at + 1])
    await client.upgraded()
    assert [await client.hear() for _ in range(3)] == [b"hello", bytes(256), b""]
    assert transport.written[:2] == b"\x8a\x82"  # the answer to the ping


async def test_a_client_that_is_not_let_in_says_so() -> None:
    client, transport = _client()
    client.data_received(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    assert transport.is_cut
    client.connection_lost(None)
    with pytest.raises(ClientError):
        await client.upgraded()


async def test_each_number_is_done_once_and_no_more_than_so_many_at_a_time() -> None:
    going: set[int] = set()
    most, done = 0, deque[int]()

    async def do(number: int) -> None:
        nonlocal most
        going.add(number)
        most = max(most, len(going))
        await asyncio.sleep(0)
        going.remove(number)
        done.append(number)

    await each(range(10), 3, do)
    assert (sorted(done), most) == (list(range(10)), 3)


def test_a_table_has_medians_of_the_rows_that_are_meant() -> None:
    rows = [{"case": "a", "kb": value} for value in (1.0, 9.0, 2.0)]
    rows += [{"case": "b", "kb": 100.0}]
    assert median_of(cast(Any, rows), "kb", case="a") == 2.0
    assert median_of(cast(Any, rows), "kb", case="c") is None
    assert line("x", 12345.6, None, 0.123456).split() == ["x", "12,346", "-", "0.123"]


def test_nodes_are_worth_what_messages_cost_that_leave_them() -> None:
    assert worth(1, 60.0, 60.0, 999.0) == 1.0
    assert worth(3, 60.0, 60.0, 60.0) == pytest.approx(3.0)
    assert worth(3, 60.0, 60.0, 120.0) == pytest.approx(1.8)
    rows = [
        {"case": "alone", "sender_us": 60.0},
        {"case": "at home", "sender_us": 66.0},
        {"case": "across", "sender_us": 50.0, "receiver_us": 40.0, "bus_us": 12.0},
        {"case": "at home", "rate": 2000.0, "p50_ms": 0.5},
        {"case": "across", "rate": 2000.0, "p50_ms": 0.9},
        {"case": "at home", "rate": 500.0, "p50_ms": 0.4},
        {"case": "across", "rate": 500.0, "p50_ms": 0.5},
    ]
    said = "\n".join(summary(cast(Any, rows)))
    assert "3 nodes are worth 2.20 of one" in said
    assert "0.29 of a core" in said
    assert "+0.40 ms at 2,000" in said
    assert "+0.10 ms at 500" in said
    again = [
        {"case": "bus", "p50_ms": 0.1},
        *({**row, "round": 0} for row in rows),
        *({**row, "round": 1} for row in rows[:2]),
        {"case": "across", "round": 1, "sender_us": 60.0, "receiver_us": 60.0, "bus_us": 12.0},
        {"case": "at home", "round": 1, "rate": 2000.0, "p50_ms": 0.6},
        {"case": "across", "round": 1, "rate": 2000.0, "p50_ms": 1.2},
    ]
    said = "\n".join(summary(cast(Any, again)))
    assert "3 nodes are worth 1.98 (1.76 to 2.20) of one" in said
    assert "+0.50 (+0.40 to +0.60) ms" in said


def test_collections_before_the_server_is_ready_count_for_nothing() -> None:
    watch, before = Watch(), gc.get_threshold()
    watch.collecting("start", {})
    watch.collecting("stop", {})
    assert watch.collection == 0.0
    try:
        gc.set_threshold(before[0] + 1, *before[1:])
        watch.collecting("start", {})
        watch.collecting("stop", {})
    finally:
        gc.set_threshold(*before)
    assert watch.collection > 0.0
