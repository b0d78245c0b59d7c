"""The play-out buffer under the clocks and networks that there are, and under anything at all."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from entrenous.media.jitter import PlayoutBuffer
from entrenous.media.playout import Playout
from entrenous.media.playout_steps import Conceal, Play, Recover
from lab.playout import (
    BASE,
    TURN,
    Arrival,
    WritingDecoder,
    listen,
    noisy,
    payload,
    stream,
    timestamp,
)

# --- clocks


@pytest.mark.parametrize("drift", [1e-3, -1e-3])
def test_a_sender_with_another_clock_keeps_its_delay(drift: float) -> None:
    heard = listen([(BASE + number * TURN / (1 + drift), number) for number in range(6000)])
    sliding = [
        delay - (now - BASE - delay) * (1 / (1 + drift) - 1)
        for now, delay in zip(heard.turns, heard.delays, strict=True)
    ]
    assert max(sliding) < 0.060
    assert len(set(range(5980)) - set(heard.numbers)) == 0
    assert heard.counters.concealed < 8
    assert heard.drift == pytest.approx(drift * 1e6, abs=5)


@pytest.mark.parametrize(("drift", "seconds"), [(200e-6, 3600), (-200e-6, 900)])
def test_an_hour_with_another_clock_leaves_no_delay_and_little_trace(drift: float, seconds: int) -> None:
    buffer, decoder = PlayoutBuffer(), WritingDecoder()
    playout, source = Playout(buffer, decoder), random.Random(1)
    turns = seconds * 50
    pushed, latest = 0, 0.0
    arrival = BASE
    for turn in range(turns):
        now = BASE + 0.005 + turn * TURN
        while arrival <= now:
            buffer.push(timestamp(pushed), payload(pushed), arrival)
            pushed += 1
            arrival = BASE + pushed * TURN / (1 + drift) + source.uniform(0, 0.003)
        playout.block(now)
        latest = max(latest, buffer.delay if turn > 500 else 0.0)
    counters = buffer.counters
    assert latest < 0.055
    assert counters.played >= pushed - 3
    assert counters.concealed <= 5
    corrected = (counters.shortened if drift > 0 else counters.lengthened) / 48_000
    undone = (counters.lengthened if drift > 0 else counters.shortened) / 48_000
    assert corrected - undone == pytest.approx(seconds * 200e-6, abs=0.03)
    assert undone < 0.1 * corrected


# --- networks


@dataclass(frozen=True)
class Network:
    """A kind of network and what it may cost: the most delay, and the share of turns without a block of its own."""

    loss: float
    jitter: Callable[[random.Random], float]
    delay: float
    invented: float


NETWORKS = {
    "loss 1 %": Network(0.01, lambda source: 0.0, 0.030, 0.0005),
    "loss 5 %": Network(0.05, lambda source: 0.0, 0.030, 0.006),
    "loss 5 %, jitter 10 ms": Network(0.05, lambda source: source.uniform(0, 0.010), 0.055, 0.006),
    "loss 5 %, half-normal jitter 10 ms": Network(0.05, lambda source: abs(source.gauss(0, 0.010)), 0.075, 0.009),
    "loss 10 %, half-normal jitter 20 ms": Network(0.10, lambda source: abs(source.gauss(0, 0.020)), 0.100, 0.020),
    "jitter 40 ms": Network(0.00, lambda source: source.uniform(0, 0.040), 0.060, 0.003),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_delay_and_invention_stay_small(name: str) -> None:
    network = NETWORKS[name]
    arrivals = noisy(3000, network.loss, network.jitter)
    heard = listen(arrivals)
    assert heard.mean_delay < network.delay
    assert heard.counters.concealed / 3000 <= network.invented
    assert len(heard.numbers) >= 0.99 * (len(arrivals) - 5)


@pytest.mark.parametrize("seed", range(4))
def test_a_deep_buffer_does_not_follow_each_change_of_jitter(seed: int) -> None:
    """A minute of up to 200 ms, none overtaking: what is cut and added, together, stays below 100 ms."""
    source, at = random.Random(seed), 0.0
    arrivals = []
    for number in range(3000):
        at = max(at, BASE + number * TURN + source.uniform(0, 0.200))
        arrivals.append((at, number))
    heard = listen(arrivals)
    assert heard.counters.shortened + heard.counters.lengthened < 4800
    assert heard.mean_delay < 0.250


def wanted_when_read_late(by: float) -> float:
    """The wanted delay when every packet is on time at the socket and waits there `by` seconds for this process."""
    buffer, waiting = PlayoutBuffer(), list(stream(500, base=0.0))
    for turn in range(500):
        now = turn * TURN + 0.005
        while waiting and waiting[0][0] + by <= now:
            at, number = waiting.pop(0)
            buffer.push(timestamp(number), payload(number), at)
        buffer.pull(now)
    return buffer.wanted_delay


def test_what_this_process_was_too_busy_to_read_in_time_is_allowed_for() -> None:
    assert wanted_when_read_late(0.0) == pytest.approx(0.020)
    assert wanted_when_read_late(0.004) == pytest.approx(0.020), "before its turn is early enough"
    assert 0.045 <= wanted_when_read_late(0.060) <= 0.065


@settings(max_examples=60, deadline=None)
@given(lost=st.sets(st.integers(5, 290), max_size=120), phase=st.floats(0, 0.0199), fec=st.booleans())
@example(lost={26, 45}, phase=0.01, fec=True)
def test_without_jitter_losses_cost_one_block_each_and_hardly_delay(lost: set[int], phase: float, fec: bool) -> None:
    arrivals = [Arrival(at, number, fec=fec) for at, number in stream(300, lost=lost)]
    heard = listen(arrivals, phase=phase)
    assert heard.numbers == [number for number in range(300) if number not in lost]
    assert heard.delays[-1] <= heard.delays[0] + 0.020 + 0.005 + 1e-6
    if not fec:
        assert heard.delays[-1] == pytest.approx(heard.delays[0])


@settings(max_examples=12, deadline=None)
@given(
    delays=st.lists(st.floats(0, 0.6), min_size=1, max_size=100),
    lost=st.sets(st.integers(0, 99)),
    copies=st.sampled_from([(), (1,), (3,), (3, 1)]),
)
def test_no_disturbance_leaves_a_lasting_delay(delays: list[float], lost: set[int], copies: tuple[int, ...]) -> None:
    arrivals = [
        Arrival(BASE + number * TURN + (delays[number] if number < len(delays) else 0.0), number, copies=copies)
        for number in range(2600)
        if number not in lost
    ]
    heard = listen(arrivals)
    assert heard.delays[-1] <= 0.060
    assert heard.numbers[-1] >= 2596


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_whatever_arrives_order_holds_and_room_is_bounded(data: st.DataObject) -> None:
    delays = data.draw(st.lists(st.floats(0, 0.8), min_size=1, max_size=150))
    copies = data.draw(st.lists(st.integers(0, 2), min_size=len(delays), max_size=len(delays)))
    arrivals = [
        (number * TURN + delay + copy * 0.007, number)
        for number, (delay, count) in enumerate(zip(delays, copies, strict=True))
        for copy in range(count)
    ]
    heard = listen(arrivals)
    assert all(earlier < later for earlier, later in zip(heard.numbers, heard.numbers[1:], strict=False))
    assert heard.most_held <= 64
    counters = heard.counters
    assert counters.played == len(heard.numbers)
    assert counters.played + counters.late + counters.duplicates + counters.discarded == len(arrivals)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(0, 2**32 - 1), st.floats(0, 0.1), st.integers(1, 3), st.booleans()),
            st.tuples(st.none(), st.floats(0, 0.1), st.just(1), st.just(False)),
        ),
        max_size=100,
    )
)
def test_mad_timestamps_never_break_it(steps: list[tuple[int | None, float, int, bool]]) -> None:
    buffer, now = PlayoutBuffer(), 0.0
    for stamp, wait, blocks, copied in steps:
        now += wait
        if stamp is None:
            step = buffer.pull(now)
            assert step is None or isinstance(step, Play | Recover | Conceal)
        elif copied:
            buffer.push_copy(stamp, b"x", now, blocks=blocks)
        else:
            buffer.push(stamp, b"x", now, blocks=blocks)
        assert len(buffer) <= 64 + 3
        assert 0.020 <= buffer.wanted_delay <= 0.400
