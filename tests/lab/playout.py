"""Packets for a play-out buffer, and what came out of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from entrenous.media.codecs.base import Samples
from entrenous.media.jitter import PlayoutBuffer
from entrenous.media.playout import Playout
from entrenous.media.playout_steps import PlayoutCounters

TURN = 0.020
FIRST = 4_294_900_000  # the timestamp wraps after 70 packets
BASE = 0.05


def timestamp(number: int, first: int = FIRST) -> int:
    return (first + number * 960) % 2**32


def payload(number: int, blocks: int = 1) -> bytes:
    return number.to_bytes(4, "big") + bytes([blocks])


class WritingDecoder:
    """Notes what it is asked for; its sound is so quiet that it may be stretched anywhere."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.numbers: list[int] = []

    def decode(self, packet: bytes) -> Samples:
        number, blocks = int.from_bytes(packet[:4], "big"), packet[4]
        self.steps.append(str(number))
        self.numbers += range(number, number + blocks)
        return np.ones(960 * blocks, np.int16)

    def recover(self, next_packet: bytes) -> Samples:
        self.steps.append(f"fec {int.from_bytes(next_packet[:4], 'big') - 1}")
        return np.ones(960, np.int16)

    def conceal(self, samples: int = 960) -> Samples:
        self.steps.append("plc")
        return np.ones(samples, np.int16)

    def save(self) -> bytes:
        return b""

    def restore(self, memory: bytes) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass
class Heard:
    """What came out: the steps of the decoder, the packet numbers, and the delay of each turn that played one."""

    steps: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    turns: list[float] = field(default_factory=list)
    counters: PlayoutCounters = field(default_factory=PlayoutCounters)
    first_at: float | None = None
    most_held: int = 0
    wanted: float = 0.0
    drift: float | None = None

    @property
    def mean_delay(self) -> float:
        return sum(self.delays) / len(self.delays)


@dataclass(frozen=True)
class Arrival:
    """A packet on its way: `copies` are the distances of what is bundled with it."""

    at: float
    number: int
    fec: bool = True
    blocks: int = 1
    copies: tuple[int, ...] = ()

    def push(self, buffer: PlayoutBuffer) -> None:
        data = payload(self.number, self.blocks)
        buffer.push(timestamp(self.number), data, self.at, blocks=self.blocks, fec=self.fec)
        for distance in self.copies:
            earlier = max(self.number - distance, 0)
            buffer.push_copy(timestamp(earlier), payload(earlier, self.blocks), self.at, blocks=self.blocks)


def listen(arrivals: Iterable[Arrival | tuple[float, int]], *, phase: float = 0.013) -> Heard:
    """Push packets as they arrive, play every 20 ms until all are through, and note what comes out."""
    buffer, decoder, heard = PlayoutBuffer(), WritingDecoder(), Heard()
    playout = Playout(buffer, decoder)
    waiting = sorted(
        (each if isinstance(each, Arrival) else Arrival(*each) for each in arrivals), key=lambda each: each.at
    )
    position = blocks = turn = 0
    while position < len(waiting) or len(buffer):
        now = phase + turn * TURN
        turn += 1
        while position < len(waiting) and waiting[position].at <= now:
            waiting[position].push(buffer)
            position += 1
        heard.most_held = max(heard.most_held, len(buffer))
        block = playout.block(now)
        if block is None:
            assert not decoder.steps
            continue
        assert block.dtype == np.int16
        assert block.shape == (960,)
        blocks += 1
        heard.first_at = now if heard.first_at is None else heard.first_at
        if playout.heard is not None:
            behind = (playout.heard - FIRST + 2**31) % 2**32 - 2**31
            heard.delays.append(now - BASE - behind / 48_000)
            heard.turns.append(now)
    heard.steps, heard.numbers, heard.counters = decoder.steps, decoder.numbers, buffer.counters
    heard.wanted, heard.drift = buffer.wanted_delay, buffer.drift
    check_the_account(heard.counters, blocks)
    return heard


def check_the_account(counters: PlayoutCounters, blocks: int) -> None:
    """What was heard is what was decoded and invented, but for what was cut, added, or is stored yet."""
    made = 960 * (counters.played + counters.recovered + counters.concealed + counters.comfort)
    assert 0 <= made - counters.shortened + counters.lengthened - 960 * blocks < 960 * 3


def stream(count: int, *, lost: Iterable[int] = (), base: float = BASE) -> list[tuple[float, int]]:
    gone = set(lost)
    return [(base + number * TURN, number) for number in range(count) if number not in gone]


def noisy(count: int, loss: float, jitter: Callable[[random.Random], float], seed: int = 1) -> list[tuple[float, int]]:
    source = random.Random(seed)
    return [(BASE + number * TURN + jitter(source), number) for number in range(count) if source.random() >= loss]
