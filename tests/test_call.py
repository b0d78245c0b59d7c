"""Call: the handle that the owner of a call holds."""

from __future__ import annotations

import asyncio

import pytest

from entrenous import CallEnded, CallStats, EndReason, LocalProtocolError, Stage
from entrenous.call import MAX_EVENTS, Call
from entrenous.events import Alerting, CallOutcome, Ended, Rekeyed
from entrenous.media.streams import Sink, Source, StreamKind
from entrenous_wire.addresses import Address

OUTCOME = CallOutcome(EndReason.REMOTE, Stage.MEDIA, "bob ended the call.", 3.0)


class Control:
    """Writes down what the call is told to do, and ends it when asked."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.told: list[object] = []

    def accept(self, source: Source | None, sink: Sink | None) -> None:
        self.told.append(("accept", source, sink))

    def decline(self) -> None:
        self.told.append("decline")

    def hang_up(self) -> None:
        self.told.append("hang up")
        asyncio.get_running_loop().call_soon(self.call.finish, OUTCOME, CallStats(seconds=3.0))

    def mute(self, kind: StreamKind, muted: bool) -> None:
        self.told.append((kind, muted))

    async def send(self, source: Source | None, only: StreamKind | None) -> None:
        self.told.append(("send", source, only))

    async def share_screen(self, source: Source | None) -> None:
        self.told.append(("screen", source))

    def hold(self, held: bool) -> None:
        self.told.append(("hold", held))

    def stats(self) -> CallStats:
        return CallStats(seconds=1.0)


def new_call() -> tuple[Call, Control]:
    call = Call(b"\1" * 16, Address("bob", "calls.example.org"), outgoing=True, has_video=False, contact=None)
    control = Control(call)
    call.attach(control)
    return call, control


async def test_what_the_owner_asks_for_is_passed_on() -> None:
    call, control = new_call()
    await call.accept()
    call.mute(StreamKind.AUDIO, True)
    await call.send(None)
    await call.send(None, only=StreamKind.VIDEO)
    await call.share_screen(None)
    call.hold(True)
    await call.decline()
    assert call.stats().seconds == 1.0
    await call.hang_up()
    assert control.told == [
        ("accept", None, None),
        (StreamKind.AUDIO, True),
        ("send", None, None),
        ("send", None, StreamKind.VIDEO),
        ("screen", None),
        ("hold", True),
        "decline",
        "hang up",
    ]
    assert call.outcome == OUTCOME


async def test_after_the_end_nothing_is_passed_on() -> None:
    call, control = new_call()
    call.finish(OUTCOME, CallStats(seconds=3.0))
    with pytest.raises(CallEnded, match="bob ended the call") as ended:
        await call.accept()
    assert ended.value.reason == "remote"
    with pytest.raises(CallEnded):
        call.mute(StreamKind.AUDIO, True)
    with pytest.raises(CallEnded):
        await call.send(None)
    with pytest.raises(CallEnded):
        await call.share_screen(None)
    with pytest.raises(CallEnded):
        call.hold(True)
    await call.decline()
    await call.hang_up()
    assert control.told == []
    assert call.stats().seconds == 3.0
    assert await call.wait_ended() == OUTCOME


async def test_a_call_that_has_not_begun_cannot_be_accepted() -> None:
    call = Call(b"\1" * 16, Address("bob", "calls.example.org"), outgoing=True, has_video=False, contact=None)
    with pytest.raises(LocalProtocolError, match="not begun"):
        await call.accept()


async def test_waiting_for_media_ends_with_the_call() -> None:
    call, _ = new_call()
    waiting = asyncio.ensure_future(call.wait_active())
    await asyncio.sleep(0)
    call.finish(OUTCOME, CallStats())
    with pytest.raises(CallEnded):
        await waiting
    active, _ = new_call()
    active.became_active()
    await active.wait_active()


async def test_events_come_in_order_and_end_with_ended() -> None:
    call, _ = new_call()
    call.announce(Alerting())
    call.announce(Rekeyed(1))
    reader = asyncio.ensure_future(_read(call))
    await asyncio.sleep(0)
    call.finish(OUTCOME, CallStats())
    assert await reader == [Alerting(), Rekeyed(1), Ended(OUTCOME)]


async def _read(call: Call) -> list[object]:
    return [event async for event in call]


async def test_a_call_nobody_reads_holds_a_bounded_number_of_events_and_its_end() -> None:
    call, _ = new_call()
    for epoch in range(10 * MAX_EVENTS):
        call.announce(Rekeyed(epoch))
    call.finish(OUTCOME, CallStats())
    events = await _read(call)
    assert len(events) == MAX_EVENTS
    assert events[-1] == Ended(OUTCOME)
    assert events[0] == Rekeyed(9 * MAX_EVENTS + 1)


def test_a_stage_is_marked_once_and_the_repr_names_nobody() -> None:
    call = Call(b"\1" * 16, Address("bob", "calls.example.org"), outgoing=True, has_video=False, contact=None)
    call.mark("dialled", 1.0)
    call.mark("dialled", 2.0)
    assert call.timings == {"dialled": 1.0}
    assert "bob" not in repr(call)
    assert call.id not in repr(call)
