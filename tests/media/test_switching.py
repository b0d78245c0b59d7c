"""Pictures come from one source after the other, without a gap between them."""

from __future__ import annotations

import asyncio

import av
import pytest

from entrenous.errors import DeviceError
from entrenous.media.events import SourceEnded, SourceFailed
from entrenous.media.streams import Picture, StreamKind
from entrenous.media.switching import PictureSwitch
from lab.calls import EventLog, until


class Camera:
    """Gives pictures when told to, each as wide as asked for."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Picture | DeviceError | None] = asyncio.Queue()
        self.waiting = 0

    def put(self, width: int) -> None:
        self.queue.put_nowait(Picture(av.VideoFrame(width, 2, "yuv420p"), 0.0))

    async def read(self) -> Picture | None:
        self.waiting += 1
        try:
            item = await self.queue.get()
        finally:
            self.waiting -= 1
        if isinstance(item, DeviceError):
            raise item
        return item


class Watched:
    """A switch, what is read from it, and what it tells."""

    def __init__(self) -> None:
        self.log = EventLog()
        self.switch = PictureSwitch(StreamKind.SCREEN, self.log)
        self.seen: asyncio.Queue[int] = asyncio.Queue()
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while True:
            self.seen.put_nowait((await self.switch.read()).frame.width)

    async def next(self) -> int:
        async with asyncio.timeout(60):
            return await self.seen.get()

    async def close(self) -> None:
        self.switch.close()
        self.task.cancel()
        await asyncio.wait({self.task})
        assert len(asyncio.all_tasks()) == 1


async def test_a_new_source_comes_in_with_its_first_picture() -> None:
    watched, old, new = Watched(), Camera(), Camera()
    assert not watched.switch.in_use
    old.put(2)
    assert watched.switch.use(old)
    assert watched.switch.in_use
    assert await watched.next() == 2
    delivered = watched.switch.use(new)
    old.put(4)
    assert await watched.next() == 4
    assert not delivered.is_set()
    new.put(6)
    async with asyncio.timeout(60):
        await delivered.wait()
    assert await watched.next() == 6
    old.put(8)
    new.put(10)
    assert await watched.next() == 10
    await until(lambda: (old.waiting, new.waiting) == (0, 1))
    assert watched.log.events == []
    await watched.close()


async def test_none_stops_at_once_and_another_source_goes_on() -> None:
    watched, camera = Watched(), Camera()
    camera.put(2)
    watched.switch.use(camera)
    assert await watched.next() == 2
    assert watched.switch.use(None).is_set()
    assert not watched.switch.in_use
    camera.put(4)
    watched.switch.use(camera)
    assert await watched.next() == 4
    await watched.close()


async def test_the_last_one_of_several_switches_counts() -> None:
    watched, cameras = Watched(), [Camera(), Camera(), Camera()]
    events = [watched.switch.use(camera) for camera in cameras]
    for number, camera in enumerate(cameras):
        camera.put(2 * number + 2)
    assert await watched.next() == 6
    assert all(event.is_set() for event in events)
    assert [camera.waiting for camera in cameras[:2]] == [0, 0]
    await watched.close()


@pytest.mark.parametrize(
    ("last", "event"),
    [
        (None, SourceEnded(StreamKind.SCREEN)),
        (DeviceError("The camera is gone."), SourceFailed(StreamKind.SCREEN, "The camera is gone.")),
    ],
)
@pytest.mark.parametrize("pictures", [0, 1])
async def test_the_end_is_told_once_and_another_source_may_follow(
    last: DeviceError | None, event: object, pictures: int
) -> None:
    watched, camera, other = Watched(), Camera(), Camera()
    for _ in range(pictures):
        camera.put(2)
    camera.queue.put_nowait(last)
    delivered = watched.switch.use(camera)
    await watched.log.wait_for(type(event))
    assert watched.log.events == [event]
    assert delivered.is_set()
    assert not watched.switch.in_use
    other.put(8)
    watched.switch.use(other)
    for _ in range(pictures):
        assert await watched.next() == 2
    assert await watched.next() == 8
    await watched.close()


async def test_whoever_reads_may_be_cancelled() -> None:
    watched, camera = Watched(), Camera()
    camera.put(2)
    watched.switch.use(camera)
    assert await watched.next() == 2
    watched.task.cancel()
    await asyncio.wait({watched.task})
    assert watched.task.cancelled()
    assert camera.waiting == 0
    await watched.close()
