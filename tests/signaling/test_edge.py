"""The edge with real WebSockets: who is let in, who is sent away and with what, and mistakes that hurt nobody else."""

from __future__ import annotations

import asyncio
import base64
import gc
import itertools
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp import web

from entrenous_signaling import sockets
from entrenous_signaling.admission import RETRY_SECONDS, SPREAD_SECONDS, Admission
from entrenous_signaling.clock import SteadyClock
from entrenous_signaling.cluster.envelopes import VERSION, Frame, pack_frame
from entrenous_signaling.edge import Edge
from entrenous_signaling.hub import Hub
from entrenous_signaling.limits import Bounds, Rate
from entrenous_signaling.meters import Access, UpgradeRefusal
from entrenous_signaling.outputs import CloseCode
from entrenous_signaling.shares import Slice, Waits
from entrenous_signaling.store.requests import Failed, ReadAccount, Removed, StoreRequest
from entrenous_signaling.store.statements import ReadRequest
from entrenous_signaling.store.writer import Store
from entrenous_signaling.visitors import Visitor
from entrenous_wire.limits import SIGNAL_PATH, SUBPROTOCOL
from entrenous_wire.messages import Accepted, Deliver, Devices, FetchDevices, Kind, Welcome
from world.edgeworld import SERVER, EdgeWorld, edge_world
from world.wirenode import WAIT_SECONDS, Account

RETRY = RETRY_SECONDS + (SPREAD_SECONDS + 1) // 2
"""What the edge's world draws in the middle."""

ALICE, BOB = Account("alice", SERVER), Account("bob", SERVER)
CALL = b"\xa7the call's id\xa7\xa7"


async def turned_away(world: EdgeWorld) -> tuple[int, int]:
    """The status of a refused upgrade, and when to come again."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with world.connected():
            pass
    assert refused.value.headers is not None
    return refused.value.status, int(refused.value.headers["Retry-After"])


async def test_a_full_server_turns_nodes_away_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with edge_world(tmp_path, max_connections=1) as world:
        with caplog.at_level("INFO"):
            async with world.connected():
                assert world.edge.connections == 1
                for _ in range(3):
                    assert await turned_away(world) == (503, RETRY)
        assert world.meters.upgrades_refused[UpgradeRefusal.FULL] == 3
        assert caplog.text.count("full") == 1


async def test_while_it_drains_nobody_comes_in_and_the_oldest_leave_first(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world, world.connected() as first, world.connected() as second:
        await first.register(ALICE)
        await second.register(BOB)
        world.edge.start_draining(7.0)
        assert world.edge.is_draining
        assert await turned_away(world) == (503, 7 + RETRY_SECONDS + (7 + 1) // 2)
        assert world.meters.upgrades_refused[UpgradeRefusal.DRAINING] == 1
        world.edge.send_away(1)
        assert world.edge.connections == world.hub.connections == 1
        await first.say(ALICE.send(1, BOB))  # crosses the goodbye: it is not accepted, so it will be said again
        assert await first.closed() == 1012
        await second.say(BOB.send(2, ALICE))
        assert (await second.hear(Accepted)).id == BOB.send(2, ALICE).id
        world.edge.send_away(5)
        assert await second.closed() == 1012
        assert world.edge.connections == 0


async def test_what_the_store_owed_is_said_before_the_goodbye(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world, world.connected() as alice, world.connected() as bob:
        await alice.register(ALICE)
        await bob.register(BOB)
        await bob.say(BOB.send(1, ALICE, Kind.ACCEPT, CALL))
        await alice.hear(Deliver)
        await world.edge.store_settled()
        world.edge.send_away(2)
        assert (await bob.hear(Accepted)).record is not None
        assert await bob.closed() == 1012


async def test_connections_that_are_cut_are_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "CLOSE_SECONDS", 3600.0)
    async with edge_world(tmp_path) as world, world.connected() as deaf, world.connected():
        deaf.socket._response.connection.transport.pause_reading()  # type: ignore[union-attr]  # answers no goodbye
        world.edge.send_away(1)
        await asyncio.sleep(0)
        world.edge.abort()
        async with asyncio.timeout(60):
            await world.edge.close()


async def test_pings_without_end_are_answered_up_to_the_limit_of_messages(tmp_path: Path) -> None:
    bounds = Bounds(connection_rate=Rate(per_second=1.0, burst=5.0), refusals=3)
    async with edge_world(tmp_path, bounds=bounds) as world, world.connected() as wire:
        for number in range(20):
            await wire.socket.ping(b"%d" % number)
        assert await wire.closed() == 1008


async def test_without_the_subprotocol_nobody_is_let_in_and_nothing_is_compressed(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        async with world.http.ws_connect(f"ws://edge{SIGNAL_PATH}") as socket:
            await socket.receive()
            assert socket.close_code == 1008
        async with world.http.ws_connect(
            f"ws://edge{SIGNAL_PATH}", protocols=(SUBPROTOCOL,), compress=15
        ) as compressing:
            assert compressing.compress == 0


async def test_what_is_no_handshake_is_refused_and_takes_nobody_s_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = Mock()
    async with edge_world(tmp_path) as world:
        with monkeypatch.context() as patch:
            patch.setattr(Admission, "admit", lambda *arguments: origin)
            assert await world.get(SIGNAL_PATH) == (400, '{"error": "bad-request"}')
        origin.disconnect.assert_called_once_with()
        assert world.edge.connections == 0


def requests_known() -> list[Visitor | web.Request]:
    """All that this process knows of requests and their connections."""
    return [known for known in gc.get_objects() if isinstance(known, Visitor | web.Request)]


async def test_what_is_said_with_the_request_is_heard_and_of_the_request_nothing_is_kept(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world:
        others = {id(known): known for known in requests_known()}  # that an earlier test left to the collector
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "edge"))
        headers = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        headers += f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\nSec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}"
        ping = b"\x89\x82" + bytes(4) + b"hi"
        writer.write(f"GET {SIGNAL_PATH} HTTP/1.1\r\nHost: edge\r\n{headers}\r\n\r\n".encode() + ping)
        async with asyncio.timeout(WAIT_SECONDS):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            await reader.readuntil(b"\x8a\x02hi")
        assert [known for known in requests_known() if id(known) not in others] == []
        assert world.visitors._open == 1
        writer.close()
        await world.emptied()
        assert world.visitors._open == 0


async def test_a_mistake_inside_hurts_one_input_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Hub, number: int, frame: object, now: float) -> list[object]:
        raise RuntimeError("alice")

    async with edge_world(tmp_path) as world, world.connected() as wire:
        with monkeypatch.context() as patch:
            patch.setattr(Hub, "bad_frame_received", broken)
            await wire.socket.send_bytes(b"?")
            await wire.say(ALICE.register(wire.hello))
            await wire.hear(Welcome)
    assert "internal-error" in caplog.text
    assert "alice" not in caplog.text


async def test_an_account_that_the_operator_removes_is_sent_away(tmp_path: Path) -> None:
    async with edge_world(tmp_path) as world, world.connected() as bob:
        await bob.register(BOB)
        removed, sessions = await world.edge.remove_account(BOB.username)
        assert isinstance(removed, Removed)
        assert (removed.devices, sessions) == (1, 1)
        assert await bob.closed() == CloseCode.DELETED
        assert await world.edge.remove_account(BOB.username) == (None, 0)


async def test_that_the_clock_is_not_that_of_the_others_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with edge_world(tmp_path) as world:
        for ahead in (0.0, -40.4, -41.0, 0.0):
            world.hub.clock.ahead = ahead
            await world.edge.remove_account("nobody")
    ours = [str(record.msg) for record in caplog.records if record.name == "entrenous_signaling"]
    assert ours == ["clock-differs seconds=-40", "clock-agrees"]


def refusing(world: EdgeWorld) -> Callable[[Store, int, StoreRequest], None]:
    """In place of `Store.submit`: nothing can be carried out."""

    def submit(_: Store, ticket: int, __: StoreRequest) -> None:
        world.edge.store_answered([(ticket, Failed.FAILED)])

    return submit


async def test_a_store_that_is_away_shows_before_anybody_needs_it_and_so_does_its_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with edge_world(tmp_path) as world:
        await world.edge.probe_store()
        assert world.edge.is_healthy
        with monkeypatch.context() as patch:
            patch.setattr(Store, "submit", refusing(world))
            await world.edge.probe_store()
            assert not world.edge.is_healthy
            assert await world.edge.remove_account("nobody") == (Failed.FAILED, 0)
        await world.edge.probe_store()
        assert world.edge.is_healthy
        assert not world.hub.degraded, "what was refused while it was away says nothing of it any more"
    ours = [str(record.msg) for record in caplog.records if record.name == "entrenous_signaling"]
    assert ours == ["store-failing", "store-working"]


async def test_a_store_that_can_be_read_and_not_written_stays_unhealthy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Store.submit
    async with edge_world(tmp_path) as world:
        refuse = refusing(world)

        def submit(store: Store, ticket: int, request: StoreRequest) -> None:
            (whole if isinstance(request, ReadRequest) else refuse)(store, ticket, request)

        with monkeypatch.context() as patch:
            patch.setattr(Store, "submit", submit)
            await world.edge.remove_account("nobody")
            await world.edge.probe_store()
            assert not world.edge.is_healthy


class Neighbour:
    """Hands what one edge publishes to another."""

    def __init__(self) -> None:
        self.edge: Edge | None = None
        self.heard = asyncio.Event()
        self.published: list[tuple[bytes | None, bytes]] = []

    def publish(self, node: bytes | None, payload: bytes) -> None:
        self.published.append((node, payload))
        if self.edge is not None:
            asyncio.get_running_loop().call_soon(self._hand_over, self.edge, payload)

    def _hand_over(self, edge: Edge, payload: bytes) -> None:
        edge.bus_received(payload)
        self.heard.set()


async def test_what_the_hub_publishes_reaches_the_other_nodes_and_what_they_say_reaches_the_hub(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    there, here = Neighbour(), Neighbour()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with (
        edge_world(tmp_path / "one", node=bytes(8), courier=there) as one,
        edge_world(tmp_path / "two", node=bytes([1] * 8), courier=here) as two,
    ):
        here.edge, there.edge = one.edge, two.edge
        one.edge.note_nodes()
        one.edge.bus_received(b"what no node says")
        for world in (one, two):
            world.edge.bus_connected()
        async with asyncio.timeout(60):
            while one.hub.cluster_state is None or one.hub.cluster_state.nodes == 0:
                here.heard.clear()
                await here.heard.wait()
        one.edge.note_nodes()
        one.edge.note_nodes()
        one.edge.bus_lost()
        assert one.hub.cluster_state.connected is False
    assert [str(record.msg) for record in caplog.records if "nodes" in str(record.msg)] == ["nodes nodes=1"]


async def test_what_comes_in_one_turn_of_the_loop_is_said_to_the_other_nodes_together(tmp_path: Path) -> None:
    courier = Neighbour()
    other = pack_frame(Frame(VERSION, b"another!", SteadyClock().now()))
    async with edge_world(tmp_path, node=bytes(8), courier=courier) as world, world.connected() as bob:
        await bob.register(BOB)
        world.edge.bus_connected()
        await asyncio.sleep(0)
        courier.published.clear()
        world.edge.bus_received(other)
        for _ in range(3):
            world.edge.bus_received(b"what no node says")
        assert courier.published == []
        await asyncio.sleep(0)
        ((node, _),) = courier.published
        assert node == b"another!"


async def test_what_the_store_answers_together_is_taken_in_turns_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with edge_world(tmp_path) as world:
        tickets: list[int] = []
        monkeypatch.setattr(world.access._store, "submit", lambda ticket, request: tickets.append(ticket))
        monkeypatch.setattr(world.edge, "_answering", Slice(lambda: 0.0, least=0.0))
        asked = [asyncio.create_task(world.access.ask(ReadAccount(f"u{number}"))) for number in range(3)]
        order: list[asyncio.Task[object]] = []
        for answer in asked:
            answer.add_done_callback(order.append)
        await asyncio.sleep(0)
        world.edge.store_answered([(ticket, None) for ticket in tickets[:2]])
        world.edge.store_answered([(tickets[2], Failed.FAILED)])
        left = []
        while any(not answer.done() for answer in asked):
            await asyncio.sleep(0)
            left.append(world.access.depth(Access.READ))
        assert [count for count, _ in itertools.groupby(left)][-3:] == [2, 1, 0], "one in a turn"
        assert [await answer for answer in asked] == [None, None, Failed.FAILED]
        await asyncio.sleep(0)
        assert order == asked


async def test_a_login_waits_in_the_line_and_what_a_device_says_after_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with edge_world(tmp_path) as world, world.connected() as wire:
        line, joined = world.edge._hearing.line, list[Waits]()
        join = line.join

        def note(who: Waits) -> None:
            joined.append(who)
            join(who)

        monkeypatch.setattr(line, "join", note)
        await wire.register(ALICE)
        assert joined == list(world.edge._sockets.values())
        await wire.say(FetchDevices(request=1, address=ALICE.address))
        await wire.hear(Devices)
        assert joined == list(world.edge._sockets.values())
