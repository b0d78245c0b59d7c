"""Three real servers on real NATS and real PostgreSQL: one server to its users, whichever part dies."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from entrenous_signaling.store.database import Databases, read_open_rows, read_records
from entrenous_wire.messages import Ack, Deliver, Delivered, ErrorCode, Kind, Letter, Taken
from lab.nats import NatsServer, needs_nats, running_nats
from lab.postgres import Cluster
from world.canaries import Canary, search
from world.nodeset import NAME, Nodes, running_nodes
from world.talker import PATIENCE, Talker
from world.talkload import BEAT, Load, Pair
from world.wirenode import Account, Wire, connected

pytestmark = [needs_nats, pytest.mark.asyncio(loop_scope="module")]

ALICE, BOB, CAROL, DAVE = (Account(name, NAME) for name in ("alice", "bob", "carol", "dave"))
CANARY = "zaphod.beeblebrox"
"""A name, and the beginning of a body, that nobody between the nodes may see."""
EACH_NODE = 2
"""Devices that begin at a node."""


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with running_nats(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nodes(tmp_path_factory: pytest.TempPathFactory, nats: NatsServer, cluster: Cluster) -> AsyncIterator[Nodes]:
    """Three nodes for all tests here; the last of these ends them."""
    async with running_nodes(tmp_path_factory.mktemp("nodes"), 3, nats, cluster) as running:
        yield running


async def logged_in(stack: AsyncExitStack, url: str, account: Account) -> Wire:
    wire = await stack.enter_async_context(connected(url))
    await wire.login(account)
    return wire


async def hear(wire: Wire, sender: Account, number: int) -> Deliver:
    """The next message, which must be that one; it is acknowledged."""
    message = await wire.hear(Deliver)
    assert (message.sender, message.device, message.id) == (sender.address, sender.device, number.to_bytes(16, "big"))
    await wire.say(Ack(seq=message.seq))
    return message


async def told(wire: Wire, *numbers: int) -> None:
    """The server says that messages were delivered, together or not, whatever else it says before."""
    ids: list[bytes] = []
    async with asyncio.timeout(PATIENCE):
        while len(ids) < len(numbers):
            if isinstance(said := await wire.hear(object), Delivered):
                ids += said.ids
    assert ids == [number.to_bytes(16, "big") for number in numbers]


async def test_three_nodes_are_one_server(nodes: Nodes) -> None:
    async with AsyncExitStack() as stack:
        await nodes.register(ALICE, BOB, CAROL, DAVE)
        alice, bob = await logged_in(stack, nodes.urls[0], ALICE), await logged_in(stack, nodes.urls[1], BOB)
        for number in range(1, 6):
            await alice.say(ALICE.send(number, BOB))
        for number in range(1, 6):
            await hear(bob, ALICE, number)
        await told(alice, *range(1, 6))

        # A session that was dropped at one node is taken up at another one, with what came meanwhile.
        carol = await stack.enter_async_context(connected(nodes.urls[1]))
        welcome = await carol.login(CAROL)
        dave = await logged_in(stack, nodes.urls[2], DAVE)
        await dave.say(DAVE.send(9, CAROL))
        last_seq = (await hear(carol, DAVE, 9)).seq  # so the third node knows of her session, which it takes up now
        await told(dave, 9)
        carol.cut()
        await alice.say(ALICE.send(10, CAROL))
        carol = await stack.enter_async_context(connected(nodes.urls[2]))
        assert (await carol.resume(welcome, last_seq)).resumed
        await hear(carol, ALICE, 10)
        await told(alice, 10)

        # A stored message for a device that is connected elsewhere rings there at once.
        await alice.say(ALICE.message(11, BOB))
        assert (await bob.hear(Letter)).id == (11).to_bytes(16, "big")
        await bob.say(Taken(ids=[(11).to_bytes(16, "big")]))

        # A device that logs in elsewhere is moved there; the connection that it had ends.
        moved = await logged_in(stack, nodes.urls[2], BOB)
        assert await bob.closed() == 4001
        await carol.say(CAROL.send(12, BOB))
        await hear(moved, CAROL, 12)

        # An account that is deleted at one node is gone at all.
        async with connected(nodes.urls[0]) as again:
            await again.login(BOB)
            assert await moved.closed() == 4001
            await again.say(BOB.delete(again.hello))
            assert await again.closed() == 4002
        await nodes.until_met()
        assert (await nodes.status(0)).clock_ahead is not None


async def test_between_the_nodes_nothing_is_in_clear(nodes: Nodes, nats: NatsServer) -> None:
    zaphod, trillian = Account(CANARY, NAME), Account(f"{CANARY}2", NAME)
    call = b"canary's call id"
    eve = Eavesdropper()
    async with eve.listening(nats), AsyncExitStack() as stack:
        await nodes.register(zaphod, trillian)
        one = Talker(zaphod, nodes.urls_from(0))
        two = Talker(trillian, nodes.urls_from(1))
        for talker in (one, two):
            await stack.enter_async_context(talker)
            await talker.until_up()
        for talker, other in ((one, two), (two, one)):
            await talker.say(other, Kind.RING, call, CANARY.encode()).outcome()
        await one.say(two, Kind.ACCEPT, call, CANARY.encode()).outcome()
        await one.say(two, Kind.END, call, CANARY.encode()).outcome()
        await eve.until_heard(4 * 1024)  # the bodies, sealed
    devices = [talker.account.device for talker in (one, two)]
    canaries = [
        *(Canary.text("name", name) for name in (CANARY, NAME)),
        *(Canary.text("device", device) for device in devices),
        *(Canary.octets("device", bytes.fromhex(device)) for device in devices),
        Canary.octets("call", call),
    ]
    assert search("what NATS was told", eve.heard, canaries) == []
    assert bytes(64) not in eve.heard, "nor the padding of a body"


class Eavesdropper:
    """Takes down every byte that NATS sends to somebody who may listen to everything."""

    def __init__(self) -> None:
        self.heard = b""
        self._more = asyncio.Event()

    async def until_heard(self, count: int) -> None:
        """Wait until so many bytes have come."""
        async with asyncio.timeout(PATIENCE):
            while len(self.heard) < count:
                self._more.clear()
                await self._more.wait()

    @asynccontextmanager
    async def listening(self, nats: NatsServer) -> AsyncIterator[None]:
        """Listen as long as the body runs."""
        reader, writer = await asyncio.open_connection("127.0.0.1", nats.port)
        user, password = nats.credentials_file.read_text().strip().split(":")
        options = f'{{"verbose":false,"user":"{user}","pass":"{password}"}}'
        writer.write(f"CONNECT {options}\r\nSUB entrenous.> 1\r\nPING\r\n".encode())
        assert (await reader.readline()).startswith(b"INFO")
        assert await reader.readline() == b"PONG\r\n"
        taking = asyncio.create_task(self._take_down(reader))
        try:
            yield
        finally:
            taking.cancel()
            writer.close()

    async def _take_down(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(65536):
            self.heard += data
            self._more.set()


async def talkers_of(stack: AsyncExitStack, nodes: Nodes, name: str) -> list[Talker]:
    """EACH_NODE devices at each node, of accounts of that name, who have come."""
    accounts = [Account(f"{name}{number}", NAME) for number in range(3 * EACH_NODE)]
    await nodes.register(*accounts)
    talkers = [Talker(account, nodes.urls_from(number % 3)) for number, account in enumerate(accounts)]
    for talker in talkers:
        await stack.enter_async_context(talker)
    for talker in talkers:
        await talker.until_up()
    return talkers


def ring_of(talkers: Sequence[Talker]) -> list[Pair]:
    """Each with the next one, who has begun at the next node."""
    return list(zip(talkers, [*talkers[1:], talkers[0]], strict=True))


def neighbours_of(talkers: Sequence[Talker]) -> list[Pair]:
    """Each with one who has begun at the same node."""
    return list(zip(talkers, [*talkers[3:], *talkers[:3]], strict=True))


@asynccontextmanager
async def counting(cluster: Cluster, load: Load) -> AsyncIterator[None]:
    """What is done in the body has lost nothing and nobody in the end, and has kept one record for each call."""
    databases = Databases(Path(), cluster.url("entrenous"))
    before = len(list(read_records(databases)))
    await load.until_all_get_through()
    yield
    await load.until_all_get_through()
    await load.end()
    load.check()
    assert len(list(read_records(databases))) == before + load.calls
    assert read_open_rows(databases) == []


async def test_what_cannot_be_done_meanwhile_is_refused_clearly(
    nodes: Nodes, nats: NatsServer, cluster: Cluster
) -> None:
    async with AsyncExitStack() as stack:
        talkers = await talkers_of(stack, nodes, "user")
        here, elsewhere, neighbour = talkers[0], talkers[1], talkers[3]
        nobody = Talker(Account("nobody", NAME), nodes.urls)
        await nodes.until_ready(0, True)
        nats.kill()
        await nodes.until_status(0, lambda said: said.cut_off)
        waiting, stranger = here.say(elsewhere), here.say(nobody)
        assert await here.say(neighbour).outcome() is None, "they are at the same node"
        await here.until_accepted(waiting)
        await here.until_refused(ErrorCode.UNAVAILABLE)
        assert not waiting.settled.done() and not stranger.settled.done()
        nats.start()
        assert await waiting.outcome() is None
        assert await stranger.outcome() is ErrorCode.OFFLINE, "there is no such device at any node"
        await nodes.until_ready(0, True)
        log = nodes.servers[0].log.read_text()
        assert [word in log for word in ("bus-connected", "bus-lost", "nodes=2")] == [True] * 3

        cluster.stop()
        try:
            call = os.urandom(16)
            accept = neighbour.say(here, Kind.ACCEPT, call)
            await neighbour.until_refused(ErrorCode.UNAVAILABLE)
            assert not accept.settled.done()
            assert await here.say(elsewhere).outcome() is None, "what needs no record goes on"
        finally:
            cluster.start()
        assert await accept.outcome() is None
        await here.say(neighbour, Kind.END, call).outcome()


async def test_one_node_alone_that_hears_nothing_any_more_says_so_and_the_others_go_on(
    nodes: Nodes, cluster: Cluster
) -> None:
    async with AsyncExitStack() as stack:
        talkers = await talkers_of(stack, nodes, "lone")
        nobody = Talker(Account("nobody", NAME), nodes.urls)
        deaf, forgetful, whole = talkers[:3]
        load = Load([*ring_of(talkers), *neighbours_of(talkers)], beat=2 * BEAT)  # for ten seconds
        async with counting(cluster, load):
            nodes.ways[0].nats.stall()
            nodes.ways[1].database.stall()
            waiting = deaf.say(whole)
            await deaf.until_accepted(waiting)
            for one, neighbour in neighbours_of(talkers)[:3]:
                assert await one.say(neighbour).outcome() is None, "what is said within a node goes on at each"
            for one, other in ((forgetful, whole), (whole, forgetful)):
                assert await one.say(other).outcome() is None, "and between the others"
            await nodes.until_status(0, lambda said: said.cut_off)
            stranger = deaf.say(nobody)
            await deaf.until_refused(ErrorCode.UNAVAILABLE)
            await forgetful.until_refused(ErrorCode.UNAVAILABLE)
            for number in (1, 2):
                await nodes.until_status(number, lambda said: said.nodes == 1)
            for number, is_ready in enumerate((False, False, True)):
                await nodes.until_ready(number, is_ready)
            assert not waiting.settled.done() and not stranger.settled.done()
            await nodes.ways[0].nats.mend()
            await nodes.ways[1].database.mend()
            assert await stranger.outcome() is ErrorCode.OFFLINE
            await load.until_all_get_through()
            for number in range(3):
                await nodes.until_ready(number, True)

            await nodes.ways[1].nats.cut()
            await nodes.ways[2].database.cut()
            refused = whole.refused[ErrorCode.UNAVAILABLE]
            await nodes.until_status(1, lambda said: said.cut_off)
            await whole.until_refused(ErrorCode.UNAVAILABLE, refused + 1)
            assert await deaf.say(whole).outcome() is None
            await nodes.ways[1].nats.mend()
            await nodes.ways[2].database.mend()


async def test_under_load_each_part_dies_in_turn_and_nothing_accepted_is_lost(
    nodes: Nodes, nats: NatsServer, cluster: Cluster
) -> None:
    async with AsyncExitStack() as stack:
        talkers = await talkers_of(stack, nodes, "busy")
        load = Load(ring_of(talkers))
        async with counting(cluster, load):
            await nodes.servers[2].kill()
            await load.until_all_get_through()
            await nodes.servers[2].start()
            await nodes.until_met()

            nats.kill()
            apart = [(talker, other) for talker, other in load.pairs if talker.url != other.url]
            assert len(apart) >= EACH_NODE
            for talker, other in apart:
                waiting = talker.say(other)
                await talker.until_accepted(waiting)
                assert not waiting.settled.done()
            nats.start()
            await load.until_all_get_through()

            cluster.stop()
            try:
                for talker in talkers:
                    await talker.until_refused(ErrorCode.UNAVAILABLE, talker.refused[ErrorCode.UNAVAILABLE] + 1)
            finally:
                cluster.start()
        assert any(talker.sessions > 1 for talker in talkers), "somebody was moved"
        for server in nodes.servers:
            assert await server.stop() == 0
            assert "internal-error" not in server.log.read_text()
