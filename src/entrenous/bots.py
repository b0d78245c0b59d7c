"""Programs that answer calls: a base that keeps one failing call from the others, and three ready bots.

::

    bot = EchoBot(NodeConfig.load("bot.toml"))
    asyncio.run(bot.run())

A bot of your own overrides `answer`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np

from entrenous import (
    BLOCK_SAMPLES,
    SAMPLE_RATE,
    AudioSource,
    Call,
    FileSource,
    Node,
    NodeConfig,
    Profile,
    Recorder,
    Samples,
    SendingEnded,
    SoundBlock,
    StreamKind,
    VideoSource,
)

log = logging.getLogger(__name__)

BLOCK_SECONDS = BLOCK_SAMPLES / SAMPLE_RATE
LAST_WORD_SECONDS = 0.5
"""From the last block sent to hanging up: it must travel, and be heard from the far end's buffer."""
LONGEST_ECHO = 10
"""Blocks that wait to be sent back; beyond 200 ms the oldest are dropped, so that a delay never stays."""


class Bot(ABC):
    """Waits for calls and answers each in a task of its own.

    Args:
        config: of its node.
        profile: an account that was opened already; None as for `Node`.
        longest: seconds after which a call is hung up.
    """

    def __init__(self, config: NodeConfig, *, profile: Profile | None = None, longest: float = 300.0) -> None:
        self.config = config
        self.profile = profile
        self.longest = longest

    async def run(self) -> None:
        """Go online and answer until SIGTERM or Ctrl-C, or until cancelled; calls are hung up first.

        Raises:
            ServerError: the server does not take the bot.
        """
        with ended_by_signals():
            async with Node(self.config, profile=self.profile) as node:
                await self.ready(node)
                async for call in node.incoming():
                    node.spawn(self._serve(call))

    async def ready(self, node: Node) -> None:
        """Called once the bot can be called; override to tell people `node.card`, or to add contacts."""
        log.info("%s waits for calls", type(self).__name__)

    @abstractmethod
    async def answer(self, call: Call) -> None:
        """Answer one call; the call ends when this returns or raises, and no other call does."""

    async def _serve(self, call: Call) -> None:
        try:
            async with asyncio.timeout(self.longest):
                await self.answer(call)
        except TimeoutError:
            pass  # long enough
        finally:
            await call.hang_up()


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM (of a service manager) and SIGINT (Ctrl-C) end this block, and the program go on after it.

    They cancel what the task does in the block, which gives it the time to clean up: a node hangs up and says goodbye.
    A second signal cancels the clean-up too. Signals that are ignored stay ignored, and where an event loop can have no
    handlers (a thread, Windows) they do what they did before.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # there is one wherever there is a running loop and somebody who awaits
    earlier = task.cancelling()
    signalled = 0

    def cancel() -> None:
        nonlocal signalled
        signalled += 1
        task.cancel()

    before = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        handler = signal.getsignal(number)
        if handler is not signal.SIG_IGN:
            try:
                loop.add_signal_handler(number, cancel)
            except (NotImplementedError, RuntimeError):
                break
            before[number] = handler
    try:
        yield
    except asyncio.CancelledError:
        if not signalled or task.cancelling() > earlier + signalled:
            raise  # somebody else wants the whole task to end
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
        for _ in range(signalled):
            task.uncancel()


class EchoBot(Bot):
    """Sends back the sound that it receives, to test a microphone, a speaker or a path."""

    async def answer(self, call: Call) -> None:
        """Accept with both ends of one EchoLine."""
        line = EchoLine()
        await call.accept(send=line, receive=line)
        await call.wait_ended()


class AnnouncementBot(Bot):
    """Plays a file to whoever calls, and hangs up at its end.

    Args:
        file: sound, or sound and picture.
    """

    def __init__(self, config: NodeConfig, file: str | Path, *, profile: Profile | None = None) -> None:
        super().__init__(config, profile=profile)
        self.file = Path(file)

    async def run(self) -> None:
        """As `Bot.run`; raises MediaFileError when the file cannot be read, rather than at every call."""
        await asyncio.to_thread(FileSource(self.file).check)
        await super().run()

    async def answer(self, call: Call) -> None:
        """Accept with the file, and hang up once it has been heard."""
        await call.accept(send=FileSource(self.file))
        async for event in call:
            if event == SendingEnded(StreamKind.AUDIO):
                await asyncio.sleep(LAST_WORD_SECONDS)
                return


class RecorderBot(Bot):
    """Records whoever calls, one Ogg file a call, like an answering machine.

    Args:
        folder: where the recordings go; made when it is missing.
        greeting: a file to play first; None: silence.
        longest: seconds after which a recording ends.
    """

    def __init__(
        self,
        config: NodeConfig,
        folder: str | Path,
        *,
        greeting: str | Path | None = None,
        profile: Profile | None = None,
        longest: float = 120.0,
    ) -> None:
        super().__init__(config, profile=profile, longest=longest)
        self.folder = Path(folder)
        self.greeting = Path(greeting) if greeting is not None else None

    async def run(self) -> None:
        """As `Bot.run`; raises MediaFileError when the greeting cannot be read, OSError when the folder not be made."""
        await asyncio.to_thread(self.folder.mkdir, parents=True, exist_ok=True)
        if self.greeting is not None:
            await asyncio.to_thread(FileSource(self.greeting).check)
        await super().run()

    async def answer(self, call: Call) -> None:
        """Accept with the greeting, and record until they hang up or it has been long enough."""
        greeting = FileSource(self.greeting) if self.greeting is not None else None
        await call.accept(send=greeting, receive=Recorder(self.folder / f"{call.id}.ogg"))
        await call.wait_ended()


class EchoLine:
    """A sink and a source in one: what is played into it comes out again.

    It keeps a clock of its own and gives a block every 20 ms, silence when none has come in, so that what is sent
    has the same cadence whatever arrives. At most LONGEST_ECHO blocks wait.
    """

    def __init__(self) -> None:
        self._waiting: deque[Samples] = deque(maxlen=LONGEST_ECHO)
        self._next_at: float | None = None

    @property
    def audio(self) -> AudioSource:
        """The echo."""
        return self

    @property
    def video(self) -> VideoSource | None:
        """None: only sound comes back."""
        return None

    async def start(self) -> None:
        """Begin to count time; called once for its use as a source and once as a sink."""
        if self._next_at is None:
            self._next_at = time.monotonic()

    def play(self, block: Samples, at: float) -> None:
        """Take 20 ms of sound to send back."""
        self._waiting.append(block)

    def show(self, frame: av.VideoFrame, at: float) -> None:
        """Let the picture go."""

    def show_screen(self, frame: av.VideoFrame, at: float) -> None:
        """Let the screen go."""

    async def read(self) -> SoundBlock:
        """The oldest block that waits, when the next one is due."""
        now = time.monotonic()
        # After a suspended computer or a blocked loop go on from now instead of sending the past in a rush.
        due = self._next_at if self._next_at is not None and now - self._next_at < LONGEST_ECHO * BLOCK_SECONDS else now
        self._next_at = due + BLOCK_SECONDS
        await asyncio.sleep(max(0.0, due - now))
        samples = self._waiting.popleft() if self._waiting else np.zeros(BLOCK_SAMPLES, np.int16)
        return SoundBlock(samples, due)

    async def close(self) -> None:
        """Forget what waits; harmless when repeated."""
        self._waiting.clear()
