"""Payloads on their way: sealed, counted, and dropped rather than kept."""

from __future__ import annotations

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


async def test_what_is_said_reaches_whom_it_is_for_and_is_sealed() -> None:
    wires = Wires()
    one, two, three_ = await three(wires)
    assert one.news == ["connected"]
    one.courier.publish(two.name, b"to two")
    one.courier.publish(None, b"to all")
    assert [subject for subject, _ in wires.parcels] == ["test.0000000000000002", "test.all"]
    assert (one.heard, two.heard, three_.heard) == ([], [b"to two", b"to all"], [b"to all"])
    assert not any(b"two" in parcel or b"all" in parcel for _, parcel in wires.parcels)
    assert (one.meters.parcels[ParcelStep.SENT], two.meters.parcels[ParcelStep.RECEIVED]) == (2, 2)


async def test_the_largest_payload_is_carried_and_no_larger_one() -> None:
    wires = Wires()
    one, two, _ = await three(wires)
    one.courier.publish(two.name, bytes(LARGEST_PAYLOAD))
    assert two.heard == [bytes(LARGEST_PAYLOAD)]
    with pytest.raises(ValueError, match="no bus"):
        one.courier.publish(two.name, bytes(LARGEST_PAYLOAD + 1))


async def test_what_cannot_go_out_is_dropped_and_counted() -> None:
    wires = Wires()
    one, two, _ = await three(wires)
    one.bus.is_connected = False
    one.courier.publish(two.name, b"nobody hears this")
    one.bus.is_connected, one.bus.keeps_up = True, False
    one.courier.publish(two.name, b"nor this")
    assert (two.heard, one.meters.parcels) == ([], {ParcelStep.DROPPED: 2})
    assert one.courier.is_connected


async def test_what_others_have_made_up_or_say_again_is_dropped_and_counted() -> None:
    wires = Wires()
    one, two, _ = await three(wires)
    stranger = await Node(wires, 9, bytes([1]) * SECRET_BYTES).start()
    stranger.courier.publish(two.name, b"let me in")
    one.courier.publish(two.name, b"once")
    two.courier._arrived(*wires.parcels[-1])
    two.courier._arrived("test.all", b"")
    assert two.heard == [b"once"]
    assert two.meters.parcels == {ParcelStep.RECEIVED: 1, ParcelStep.REFUSED: 3}


async def test_after_the_end_nothing_goes_out() -> None:
    wires = Wires()
    one, two, _ = await three(wires)
    await one.courier.close()
    assert not one.courier.is_connected
    one.courier.publish(two.name, b"nobody hears this")
    assert two.heard == []
