"""Payloads on their way: together when they are said together, sealed, counted, and dropped rather than kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from entrenous_signaling.cluster.bus import LARGEST_PAYLOAD, Received
from entrenous_signaling.cluster.courier import Courier
from entrenous_signaling.cluster.seal import SALT_BYTES, SECRET_BYTES, Seal
from entrenous_signaling.meters import Meters, ParcelStep


class Wires:
    """What carries parcels between the buses of a test."""

    def __init__(self) -> None:
        self.listening: list[tuple[WiredBus, Sequence[str], Received]] = []
        self.parcels: list[tuple[str, bytes]] = []


class WiredBus:
    """A bus that hands parcels over at once."""

    def __init__(self, wires: Wires) -> None:
        self._wires = wires
        self.is_connected = True
        self.keeps_up = True

    async def start(
        self, subjects: Sequence[str], received: Received, connected: Callable[[], None], lost: Callable[[], None]
    ) -> None:
        self._wires.listening.append((self, subjects, received))
        connected()

    def publish(self, subject: str, parcel: bytes) -> bool:
        if self.keeps_up:
            self._wires.parcels.append((subject, parcel))
            for bus, subjects, received in self._wires.listening:
                if subject in subjects and bus is not self:
                    received(subject, parcel)
        return self.keeps_up

    async def close(self) -> None:
        self.is_connected = False


class Node:
    def __init__(self, wires: Wires, number: int, secret: bytes = bytes(SECRET_BYTES)) -> None:
        self.name = number.to_bytes(8, "big")
        self.bus = WiredBus(wires)
        self.meters = Meters()
        self.heard: list[bytes] = []
        self.news: list[str] = []
        self.courier = Courier(
            self.bus, Seal(secret, number.to_bytes(SALT_BYTES, "big")), "test", self.name, self.meters
        )

    async def start(self) -> Node:
        await self.courier.start(
            self.heard.append, lambda: self.news.append("connected"), lambda: self.news.append("lost")
        )
        return self


async def three(wires: Wires) -> list[Node]:
    return [await Node(wires, number).start() for number in (1, 2, 3)]


async def test_what_is_said_in_one_turn_of_the_loop_goes_in_one_parcel_for_each_receiver() -> None:
    wires = Wires()
    one, two, three_ = await three(wires)
    assert one.news == ["connected"]
    for number in range(5):
        one.courier.publish(two.name, b"two %d" % number)
        one.courier.publish(None, b"all %d" % number)
    assert wires.parcels == []
    await asyncio.sleep(0)
    assert [subject for subject, _ in wires.parcels] == ["test.0000000000000002", "test.all"]
    assert two.heard == [b"two %d" % number for number in range(5)] + [b"all %d" % number for number in range(5)]
    assert three_.heard == [b"all %d" % number for number in range(5)]
    assert one.heard == []
    one.courier.publish(two.name, b"later")
    await asyncio.sleep(0)
    assert len(wires.parcels) == 3
    assert two.heard[-1] == b"later"
    assert not any(b"two" in parcel or b"all" in parcel for _, parcel in wires.parcels)
    assert (one.meters.parcels[ParcelStep.SENT], two.meters.parcels[ParcelStep.RECEIVED]) == (3, 3)


async def test_much_at_a_time_is_divided_into_parcels_that_a_bus_takes() -> None:
    wires = Wires()
    one, two, _ = await three(wires)
    payloads = [bytes([number]) * (LARGEST_PAYLOAD // 2) for number in range(5)] + [bytes(LARGEST_PAYLOAD), b"last"]
    for payload in payloads:
        one.courier.publish(two.name, payload)
    await asyncio.sleep(0)
    assert two.heard == payloads
    assert len(wires.parcels) == 5
    assert max(len(parcel) for _, parcel in wires.parcels) < LARGEST_PAYLOAD + 100
    with pytest.raises(ValueError, match="no bus"):
        one.courier.publish(two.name, bytes(LARGEST_PAYLOAD + 1))


async def test_what_cannot_go_out_is_dropped_and_counted() -> None:
    wires = Wires()
    one, two, _ = await three(wires)
    one.bus.is_connected = False
    one.courier.publish(two.name, b"nobody hears this")
    await asyncio.sleep(0)
    one.bus.is_connected, one.bus.keeps_up = True, False
    one.courier.publish(two.name, b"nor this")
    await asyncio.sleep(0)
    assert (two.heard, one.meters.parcels) == ([], {ParcelStep.DROPPED: 2})
    assert one.courier.is_connected


async def test_what_others_have_made_up_or_say_again_is_dropped_and_counted() -> None:
    wires = Wires()
    one, two, _ = await three(wires)
    stranger = await Node(wires, 9, bytes([1]) * SECRET_BYTES).start()
    stranger.courier.publish(two.name, b"let me in")
    one.courier.publish(two.name, b"once")
    await asyncio.sleep(0)
    two.courier._arrived(*wires.parcels[-1])
    no_list = Seal(bytes(SECRET_BYTES), bytes(SALT_BYTES)).seal("test.all", b"\xc1")
    two.courier._arrived("test.all", no_list)
    two.courier._arrived("test.all", b"")
    assert two.heard == [b"once"]
    assert two.meters.parcels == {ParcelStep.RECEIVED: 1, ParcelStep.REFUSED: 4}


async def test_what_was_said_last_goes_out_before_the_end() -> None:
    wires = Wires()
    one, two, _ = await three(wires)
    one.courier.publish(two.name, b"farewell")
    await one.courier.close()
    assert two.heard == [b"farewell"]
    assert not one.courier.is_connected
