"""One call at the terminal or for a script: shown, and steered by keys, signals and the time limit, to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from entrenous import (
    Call,
    CallEnded,
    CallEvent,
    CallOutcome,
    DeviceChange,
    Ended,
    EntrenousError,
    LocalProtocolError,
    MediaError,
    MediaProblem,
    Source,
    StreamKind,
)

from .interrupt import Interrupt
from .keys import Keys
from .live import LiveLine, View, after, sentence
from .output import Output, event_name, plain
from .stats_file import StatsFile

HANG_UP_SECONDS = 5.0
"""How long a hang-up may take before the process ends without it."""
REDRAW_SECONDS = 0.5

Helper = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Pictures:
    """What this end can show besides what it sends from the beginning.

    Args:
        camera: makes the source of the camera's pictures, None where there is no camera.
        screen: makes that of the screen.
        camera_on: whether the camera's are sent from the beginning.
        share: a screen to be shared from the beginning.
    """

    camera: Callable[[], Source | None] = lambda: None
    screen: Callable[[], Source | None] = lambda: None
    camera_on: bool = False
    share: Source | None = None


class Conversation:
    """A call and the person or script at this end of it.

    Args:
        call: the call.
        output: where to show it.
        interrupt: hangs up when it happens.
        keys: what the person presses, None when there is none.
        limit: seconds after which to hang up, counted from when media flows; None: no limit.
        pick_up: accepts the call; None for a call of our own.
        ring: seconds to let it ring before accepting by itself; None: the person accepts or declines by key.
        figures: where to write the call's figures every second, None: nowhere. Closed at the end.
        pictures: what the person can switch on in the call.
    """

    def __init__(
        self,
        call: Call,
        output: Output,
        interrupt: Interrupt,
        *,
        keys: Keys | None,
        limit: float | None,
        pick_up: Callable[[], Awaitable[None]] | None = None,
        ring: float | None = None,
        figures: StatsFile | None = None,
        pictures: Pictures | None = None,
    ) -> None:
        self._call = call
        self._output = output
        self._interrupt = interrupt
        self._keys = keys
        self._limit = limit
        self._pick_up = pick_up
        self._ring = ring
        self._figures = figures
        self._pictures = pictures or Pictures()
        self._answered = call.outgoing
        self._line: LiveLine | None = None
        self._view = View(
            str(call.peer),
            "dialling" if call.outgoing else "rings",
            camera=self._pictures.camera_on,
            hint=self._hint(),
        )

    async def hold(self) -> CallOutcome:
        """Follow the call until it has ended.

        Raises:
            MediaError: our sound or picture cannot be opened; the call is over then.
        """
        helpers: list[Helper] = [self._obey_interrupt]
        if self._limit is not None:
            helpers.append(partial(self._obey_limit, self._limit))
        if self._keys is not None:
            helpers += [partial(self._obey_keys, self._keys), self._redraw]
        if self._pictures.share is not None:
            helpers.append(partial(self._share_when_active, self._pictures.share))
        if self._ring is not None:
            helpers.append(partial(self._pick_up_after, self._ring))
        if self._figures is not None:
            helpers.append(partial(self._write_figures, self._figures))
        with self._interrupt.gently():
            try:
                with ExitStack() as stack:
                    if self._figures is not None:
                        stack.callback(self._figures.close)
                    if self._keys is not None:
                        self._line = stack.enter_context(LiveLine(self._output.out))
                        self._line.draw(self._view)
                    async with running(helpers):
                        async for event in self._call:
                            self._happened(event)
            except BaseExceptionGroup as group:
                # Not `except*`: what is raised there is wrapped in a group again by some versions of Python 3.11.
                trouble, other = group.split(EntrenousError)
                if trouble is None or other is not None:
                    raise
                raise first(trouble) from None
            finally:
                with suppress(TimeoutError):
                    async with asyncio.timeout(HANG_UP_SECONDS):
                        await self._call.hang_up()
            outcome = await self._call.wait_ended()
            self._output.event("result", **summary(self._call, outcome))
            return outcome

    def _happened(self, event: CallEvent) -> None:
        self._view = after(self._view, event)
        self._output.event(event_name(event), call=self._call.id, **plain(event))
        text = sentence(event)
        if text is not None and (self._line is None or isinstance(event, MediaProblem | DeviceChange | Ended)):
            self._output.line(text)
        if self._line is not None:
            self._line.draw(self._view)

    def _hint(self) -> str:
        if not self._answered:
            return "a accept, d decline"
        return "m mute, c camera, s screen, o hold, h hang up"

    async def _pick_up_after(self, ring: float) -> None:
        await asyncio.sleep(ring)
        await self._accept()

    async def _accept(self) -> None:
        if self._answered or self._pick_up is None:
            return
        self._answered = True
        self._view = replace(self._view, hint=self._hint())
        with suppress(CallEnded):  # they gave up in the same moment; the Ended event tells
            await self._pick_up()

    async def _obey_interrupt(self) -> None:
        await self._interrupt.wait()
        try:
            async with asyncio.timeout(HANG_UP_SECONDS):
                await self._call.hang_up()
        except TimeoutError:
            self._interrupt.cancel()

    async def _obey_limit(self, seconds: float) -> None:
        with suppress(CallEnded):
            await self._call.wait_active()
            await asyncio.sleep(seconds)
            await self._call.hang_up()

    async def _obey_keys(self, keys: Keys) -> None:
        while True:
            match await keys.next():
                case "h":
                    await self._call.hang_up()
                case "m" if self._answered:
                    with suppress(CallEnded):
                        self._call.mute(StreamKind.AUDIO, not self._view.muted)
                        self._view = replace(self._view, muted=not self._view.muted)
                case "o" if self._answered:
                    with suppress(CallEnded):
                        self._call.hold(not self._view.held)
                        self._view = replace(self._view, held=not self._view.held)
                case "c" if self._answered:
                    await self._switch_camera()
                case "s" if self._answered:
                    await self._switch_screen(None if self._view.shares else self._pictures.screen)
                case "a":
                    await self._accept()
                case "d" if not self._answered:
                    await self._call.decline()
                case _:
                    continue
            if self._line is not None:
                self._line.draw(self._view)

    async def _switch_camera(self) -> None:
        source = None if self._view.camera else self._pictures.camera()
        if source is None and not self._view.camera:
            self._output.line("There is no camera on this machine.")
            return
        if await self._done(self._call.send(source, only=StreamKind.VIDEO)):
            self._view = replace(self._view, camera=source is not None)

    async def _switch_screen(self, make: Callable[[], Source | None] | None) -> None:
        source = make() if make is not None else None
        if await self._done(self._call.share_screen(source)):
            self._view = replace(self._view, shares=source is not None)

    async def _share_when_active(self, screen: Source) -> None:
        with suppress(CallEnded):
            await self._call.wait_active()
            await self._switch_screen(lambda: screen)

    async def _done(self, change: Awaitable[None]) -> bool:
        """Whether what the person wanted has worked; what has not is told, and the call goes on as before."""
        try:
            await change
        except CallEnded:
            return False
        except (MediaError, LocalProtocolError) as error:
            self._output.line(str(error))
            return False
        return True

    async def _write_figures(self, figures: StatsFile) -> None:
        with suppress(CallEnded):
            await self._call.wait_active()
            await figures.follow(self._call.stats)

    async def _redraw(self) -> None:
        with suppress(CallEnded):
            await self._call.wait_active()
        while True:
            self._view = replace(self._view, stats=self._call.stats())
            if self._line is not None:
                self._line.draw(self._view)
            await asyncio.sleep(REDRAW_SECONDS)


def summary(call: Call, outcome: CallOutcome) -> dict[str, object]:
    """Everything that a script may want to know about a call that is over."""
    return {
        "call": call.id,
        "peer": call.peer,
        "outgoing": call.outgoing,
        "outcome": outcome,
        "words": call.words,
        "verified": call.verified,
        "path": call.path,
        "timings": call.timings,
        "stats": call.stats().to_dict(),
    }


@asynccontextmanager
async def running(helpers: Iterable[Helper]) -> AsyncIterator[None]:
    """Run coroutine functions beside the body and cancel them when it is done; a failing one ends the body."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(helper()) for helper in helpers]
        yield
        for task in tasks:
            task.cancel()


def first(group: BaseExceptionGroup[EntrenousError]) -> EntrenousError:
    """The first error of a group that may be nested."""
    inner = group.exceptions[0]
    return first(inner) if isinstance(inner, BaseExceptionGroup) else inner
