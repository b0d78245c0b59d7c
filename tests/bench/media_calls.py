"""Calls between two programs of one engine in two homes of the laboratory, and what both ends remember of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.network import Network
from world.nodeproc import NodeProcess

from .media_end import running_end
from .media_material import Luma, Sound

CONNECT_SECONDS = 30.0


@dataclass
class Call:
    """A call that media flows in.

    Args:
        a, b: its ends; `a` has offered, and speaks the track `a`.
    """

    a: NodeProcess
    b: NodeProcess

    async def begin(self) -> tuple[list[float], list[float]]:
        """Let both start to talk; returns at which monotonic seconds, by end and index."""
        one, other = await asyncio.gather(*(_ask(end, "begin", "Begun") for end in (self.a, self.b)))
        return one["begun"], other["begun"]

    async def figures(self, *, collect: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
        """What both programs say about themselves; `collect`: after collecting garbage."""
        one, other = await asyncio.gather(
            *(_ask(end, "figures", "Figures", collect=collect) for end in (self.a, self.b))
        )
        return one, other

    async def recollections(self, folder: Path, index: int = 0) -> tuple[Recollection, Recollection]:
        """What both heard and saw; written to files in a folder on the way."""
        for end, name in ((self.a, "a"), (self.b, "b")):
            end.tell(do="write", folder=str(folder), name=name)
        await asyncio.gather(*(end.expect("Written", within=60.0) for end in (self.a, self.b)))
        return Recollection.read(folder / f"a-{index}.npz"), Recollection.read(folder / f"b-{index}.npz")


async def _ask(end: NodeProcess, do: str, answer: str, **details: object) -> dict[str, Any]:
    end.tell(do=do, **details)
    return await end.expect(answer)


@asynccontextmanager
async def running_call(
    system: str, lab: Network, homes: tuple[str, str], *, size: tuple[int, int] | None = None, **options: Any
) -> AsyncIterator[Call]:
    """Connect two homes of a lab by a call, media flowing; see `running_call_between`."""
    prefixes = lab.host(homes[0]).command(), lab.host(homes[1]).command()
    async with running_call_between(system, prefixes, size=size, **options) as call:
        yield call


@asynccontextmanager
async def running_call_between(
    system: str,
    prefixes: tuple[list[str], list[str]],
    *,
    size: tuple[int, int] | None = None,
    one_way: bool = False,
    count: int = 1,
    environments: tuple[dict[str, str] | None, dict[str, str] | None] = (None, None),
    **options: Any,
) -> AsyncIterator[Call]:
    """Start both programs and connect them.

    Args:
        system: the engine.
        prefixes: of both command lines.
        size: of the pictures that both send, None: none.
        one_way: only `a` sends pictures.
        count: of calls between the two.
        environments: of the programs.
        options: of `media_end.running_end`, for both.

    Raises:
        TimeoutError: they do not connect.
    """
    async with AsyncExitStack() as stack:
        sizes = size, None if one_way else size
        ends = (
            running_end(
                system,
                prefix=prefix,
                environment=environment,
                speaks=name,
                offers=name == "a",
                size=own_size,
                count=count,
                **options,
            )
            for name, prefix, environment, own_size in zip("ab", prefixes, environments, sizes, strict=True)
        )
        a, b = await asyncio.gather(*map(stack.enter_async_context, ends))
        for index in range(count):
            a.tell(do="offer", index=index)
            b.tell(do="answer", index=index, text=(await a.expect("Described", index=index))["text"])
            a.tell(do="take", index=index, text=(await b.expect("Described", index=index))["text"])
        for end in (a, b):
            end.tell(do="start")
        await asyncio.gather(*(end.expect("Started", within=CONNECT_SECONDS) for end in (a, b)))
        yield Call(a, b)


@dataclass(frozen=True, slots=True)
class Recollection:
    """What one end heard and saw.

    Args:
        times: at which each block of sound was to be heard, monotonic seconds.
        lengths: samples of each block.
        samples: all of them, 48 kHz.
        seen: a row for each picture: number, monotonic second, width, height.
        kept: the rows of those that were kept whole.
        pictures: their luma.
    """

    times: NDArray[np.float64]
    lengths: NDArray[np.int64]
    samples: Sound
    seen: NDArray[np.float64]
    kept: NDArray[np.float64]
    pictures: list[Luma]

    @staticmethod
    def read(path: Path) -> Recollection:
        """What `Listener.write` wrote."""
        with np.load(path) as file:
            pictures = [file[f"luma{index}"] for index in range(len(file["kept"]))]
            return Recollection(file["times"], file["lengths"], file["samples"], file["seen"], file["kept"], pictures)
