"""A way that carries, stalls without a word, is cut and mended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lab.ports import free_port
from lab.way import Place, Way, leading

PATIENCE = 30.0


@pytest.fixture(params=["TCP", "Unix"])
def begins(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return free_port() if request.param == "TCP" else tmp_path / "way"


@pytest.fixture
async def way(begins: Place) -> AsyncIterator[Way]:
    """To who says everything again in capitals, and then goodbye."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while word := await reader.read(100):
            writer.write(word.upper())
        writer.write(b"BYE")
        writer.close()

    port = free_port()
    server = await asyncio.start_server(answer, "127.0.0.1", port)
    async with asyncio.timeout(PATIENCE), server, leading(begins, port) as leads:
        yield leads


async def taken(begins: Place) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(begins, Path):
        return await asyncio.open_unix_connection(begins)
    return await asyncio.open_connection("127.0.0.1", begins)


async def test_what_is_said_arrives_with_its_end_and_late_when_the_way_stalls(begins: Place, way: Way) -> None:
    reader, writer = await taken(begins)
    writer.write(b"one ")
    assert await reader.readexactly(4) == b"ONE "
    way.stall()
    writer.write(b"two ")
    writer.write_eof()
    later_reader, later_writer = await taken(begins)
    later_writer.write(b"three")
    heard = asyncio.gather(reader.read(), later_reader.readexactly(5))
    _, waiting = await asyncio.wait({heard}, timeout=0.1)  # long enough for what nothing holds up
    assert waiting == {heard}
    await way.mend()
    assert list(await heard) == [b"TWO BYE", b"THREE"]
    for one in (writer, later_writer):
        one.close()


async def test_a_way_that_is_cut_ends_what_is_on_it_and_lets_nobody_in_until_it_is_mended(
    begins: Place, way: Way
) -> None:
    reader, writer = await taken(begins)
    writer.write(b"one")
    assert await reader.readexactly(3) == b"ONE"
    await way.cut()
    assert await reader.read() == b""
    writer.close()
    with pytest.raises(OSError, match="Connect call failed|No such file|refused"):
        await taken(begins)
    await way.mend()
    reader, writer = await taken(begins)
    writer.write(b"two")
    assert await reader.readexactly(3) == b"TWO"
    writer.close()
