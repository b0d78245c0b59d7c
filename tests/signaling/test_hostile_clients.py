"""Twenty hostile clients beside a hundred honest ones on one real server: no honest message is lost or refused."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from entrenous_wire.messages import Accepted, Ack, Deliver, Delivered, Kind
from world.hostile import MISCHIEF, attacked
from world.serverproc import running_server
from world.wirenode import WAIT_SECONDS, Account, Wire, connected

HONEST, HOSTILE, MESSAGES = 100, 20, 20
SETTINGS = """
trusted_proxies = ["127.0.0.1"]  # from where the honest come, whom nothing tells apart; the hostile have addresses
[limits]
limit_loopback = true
"""


async def talk(wire: Wire, me: Account, other: Account) -> int:
    """Say MESSAGES, hear as many and acknowledge them; returns how many arrived, in order."""
    sent = confirmed = arrived = 0
    await wire.say(me.send(sent := 1, other, Kind.SIGNAL))
    while arrived < MESSAGES or confirmed < MESSAGES:
        message = await wire.hear(Accepted | Delivered | Deliver)  # type: ignore[arg-type]  # and nothing else: no error
        if isinstance(message, Deliver):
            arrived += 1
            assert int.from_bytes(message.id, "big") == arrived
            await wire.say(Ack(seq=message.seq))
        elif isinstance(message, Delivered):
            confirmed += len(message.ids)
            if sent < MESSAGES:
                await wire.say(me.send(sent := sent + 1, other, Kind.SIGNAL))
    return arrived


async def test_the_honest_lose_nothing_and_are_refused_nothing(tmp_path: Path) -> None:
    async with running_server(tmp_path, settings=SETTINGS, admin_listen="127.0.0.1:0") as server:
        honest = [Account(f"u{number}", server.name) for number in range(HONEST)]
        for account in honest:
            async with connected(server.url) as wire:
                await wire.register(account)
        async with attacked(int(server.listening.rpartition(":")[2]), HOSTILE) as deeds, AsyncExitStack() as stack:
            wires = [await stack.enter_async_context(connected(server.url)) for _ in honest]
            for account, wire in zip(honest, wires, strict=True):
                await wire.login(account)
            async with asyncio.timeout(WAIT_SECONDS):
                arrived = await asyncio.gather(
                    *(talk(wires[number], honest[number], honest[number ^ 1]) for number in range(HONEST))
                )
            assert arrived == [MESSAGES] * HONEST
        assert set(deeds.tried) == {mischief.__name__ for mischief in MISCHIEF}
        await server.stop()
        log = server.log.read_text()
        assert "internal-error" not in log
        assert "127.0.1." not in log
