"""The play-out buffer: a loss costs one block and no delay, order holds, room is bounded, delay follows the network."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from entrenous.media.jitter import Conceal, Merge, Play, PlayoutBuffer, PlayoutCounters, Recover, Silence

TURN = 0.020
FIRST = 4_294_900_000  # the timestamp wraps after 70 packets


def timestamp(number: int, first: int = FIRST) -> int:
    return (first + number * 960) % 2**32


def payload(number: int) -> bytes:
    return number.to_bytes(4, "big")


@dataclass
class Heard:
    """What came out, turn by turn, as packet numbers and names."""

    turns: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    counters: PlayoutCounters = field(default_factory=PlayoutCounters)
    first_at: float | None = None
    most_held: int = 0

    @property
    def mean_delay(self) -> float:
        return sum(self.delays) / len(self.delays)


def listen(arrivals: Iterable[tuple[float, int]], turns: int, *, phase: float = 0.013, quiet: bool = False) -> Heard:
    """Push packets by (arrival, number), pull every 20 ms, and note what comes out."""
    buffer, heard = PlayoutBuffer(), Heard()
    waiting = sorted(arrivals)
    position = 0
    for turn in range(turns):
        now = phase + turn * TURN
        while position < len(waiting) and waiting[position][0] <= now:
            at, number = waiting[position]
            buffer.push(timestamp(number), payload(number), at)
            position += 1
        heard.most_held = max(heard.most_held, len(buffer))
        match buffer.pull(now, quiet=quiet):
            case Play(data, stamp):
                number = int.from_bytes(data, "big")
                assert stamp == timestamp(number)
                heard.turns.append(str(number))
                heard.numbers.append(number)
                heard.first_at = now if heard.first_at is None else heard.first_at
                heard.delays.append(buffer.delay)
            case Merge(first, second, stamp):
                pair = [int.from_bytes(data, "big") for data in (first, second)]
                assert pair[1] == pair[0] + 1
                assert stamp == timestamp(pair[1])
                heard.turns.append(f"{pair[0]}+{pair[1]}")
                heard.numbers += pair
            case Recover(data, stamp):
                number = int.from_bytes(data, "big")
                assert stamp == timestamp(number - 1)
                heard.turns.append(f"fec {number - 1}")
            case Conceal():
                heard.turns.append("plc")
            case Silence():
                heard.turns.append("-")
    heard.counters = buffer.counters
    return heard


def stream(count: int, *, lost: Iterable[int] = (), base: float = 0.05) -> list[tuple[float, int]]:
    gone = set(lost)
    return [(base + number * TURN, number) for number in range(count) if number not in gone]


def noisy(count: int, loss: float, jitter: Callable[[random.Random], float], seed: int = 1) -> list[tuple[float, int]]:
    source = random.Random(seed)
    return [(0.05 + number * TURN + jitter(source), number) for number in range(count) if source.random() >= loss]


# --- scripts


def test_a_clean_stream_starts_within_two_turns_and_plays_every_packet() -> None:
    for phase in (0.000, 0.005, 0.010, 0.015, 0.019):
        heard = listen(stream(100), 110, phase=phase)
        assert heard.numbers == list(range(100))
        assert heard.first_at is not None
        assert heard.first_at - 0.05 <= 0.030 + 1e-9
        assert max(heard.delays) <= 0.030 + 1e-9
        begun = heard.turns.index("0")
        assert heard.turns[begun : begun + 100] == [str(number) for number in range(100)]


def test_nothing_but_silence_before_the_first_packet() -> None:
    assert set(listen([], 20).turns) == {"-"}


def test_one_lost_packet_costs_one_recovered_block_and_no_delay() -> None:
    heard = listen(stream(100, lost=[40]), 105)
    at = heard.turns.index("39")
    assert heard.turns[at : at + 4] == ["39", "fec 40", "41", "42"]
    assert len({round(delay, 6) for delay in heard.delays}) == 1


def test_a_loss_seen_only_when_nothing_is_here_costs_one_concealed_block_and_no_delay() -> None:
    # Pulls follow 3 ms after each arrival and the stream started without a head start to spare: the successor of a
    # lost packet is not here yet when its turn comes.
    arrivals = [(0.050, 0), *((0.062 + number * TURN, number) for number in range(1, 100) if number != 40)]
    heard = listen(arrivals, 105, phase=0.0)
    assert heard.turns.count("plc") + heard.turns.count("fec 40") - heard.turns[::-1].index("99") <= 1
    assert heard.numbers == [number for number in range(100) if number != 40]
    assert round(heard.delays[-1], 6) == round(heard.delays[5], 6)


@pytest.mark.parametrize("length", [2, 3, 10])
def test_a_gap_of_lost_packets_costs_that_many_blocks_and_no_delay(length: int) -> None:
    heard = listen(stream(200, lost=range(50, 50 + length)), 210)
    begun, after = heard.turns.index("49"), heard.turns.index(str(50 + length))
    assert after - begun == length + 1
    assert heard.turns[begun + 1 : after - 1] == ["plc"] * (length - 1)
    assert heard.turns[after - 1] in ("plc", f"fec {49 + length}")
    assert round(heard.delays[-1], 6) == round(heard.delays[0], 6)


def test_a_swapped_pair_is_put_right_or_recovered() -> None:
    arrivals = stream(100)
    arrivals[30], arrivals[31] = (arrivals[31][0], 30), (arrivals[30][0], 31)
    heard = listen(arrivals, 110)
    assert heard.numbers == sorted(heard.numbers)
    assert set(range(100)) - set(heard.numbers) <= {30}


def test_duplicates_are_dropped_before_and_after_their_turn() -> None:
    twice = stream(100) + [(at + 0.001, number) for at, number in stream(100)]
    later = [(at + 0.1, number) for at, number in stream(90)]
    heard = listen(twice + later, 110)
    assert heard.numbers == list(range(100))
    assert heard.counters.duplicates == 190
    assert heard.counters.late == 0


def test_a_packet_after_its_turn_is_late() -> None:
    arrivals = [(at + (0.2 if number == 40 else 0), number) for at, number in stream(100)]
    heard = listen(arrivals, 110)
    assert 40 not in heard.numbers
    assert heard.counters.late == 1
    assert heard.turns.count("fec 40") == 1
    assert round(heard.delays[-1], 6) == round(heard.delays[0], 6), "one straggler in two seconds is no reason to wait"


def test_a_stalled_path_is_waited_for_and_the_delay_taken_back() -> None:
    stalled = [(max(at, 1.13) if at > 1.05 else at, number) for at, number in stream(1000)]
    heard = listen(stalled, 1005)
    assert heard.numbers == list(range(1000)), "what came 80 ms late is played, for nothing newer was here"
    assert max(heard.delays) > 0.04
    assert heard.delays[-1] < 0.04
    assert 2 <= heard.counters.merged <= 5


def test_merging_waits_for_quiet_where_it_can() -> None:
    stalled = [(max(at, 1.13) if at > 1.05 else at, number) for at, number in stream(1000)]
    last_merge = {
        quiet: max(turn for turn, what in enumerate(listen(stalled, 1005, quiet=quiet).turns) if "+" in what)
        for quiet in (True, False)
    }
    assert last_merge[True] < last_merge[False]


def test_what_an_outage_held_back_is_left_out_at_once() -> None:
    burst = [(3.0 + number * 1e-4 if 2.0 < at < 3.0 else at, number) for at, number in stream(500)]
    heard = listen(burst, 510)
    assert heard.numbers == sorted(set(heard.numbers))
    assert heard.numbers[-1] == 499
    after = heard.turns.index("200")
    assert all(what.isdigit() or "+" in what for what in heard.turns[after:500])
    assert heard.delays[-100] < 0.05
    assert heard.counters.discarded > 30


def test_a_long_silence_is_silence_and_the_stream_goes_on_with_its_delay() -> None:
    paused = [(at, number) for at, number in stream(600) if not 2.0 < at < 7.0]
    heard = listen(paused, 640)
    assert heard.counters.concealed <= 50 + 50
    assert heard.turns.count("-") > 150
    assert round(heard.delays[-1], 6) == round(heard.delays[0], 6)
    assert heard.counters.discarded == 0


def test_a_sender_whose_clock_stood_still_in_a_pause_is_followed() -> None:
    frozen = [(at + (5.0 if number >= 100 else 0.0), number) for at, number in stream(600)]
    heard = listen(frozen, 900)
    assert heard.counters.restarts == 1
    assert heard.numbers == list(range(600))
    assert heard.delays[-1] < 0.05


@pytest.mark.parametrize("jump", [2**31, 48_000 * 3600, -48_000 * 60])
def test_a_jump_of_timestamps_is_followed_after_two_packets(jump: int) -> None:
    buffer = PlayoutBuffer()
    played: list[bytes] = []
    for number in range(200):
        now = number * TURN
        stamp = timestamp(number) if number < 100 else timestamp(number, FIRST + jump)
        buffer.push(stamp, payload(number), now)
        what = buffer.pull(now + 0.015)
        if isinstance(what, Play):
            played.append(what.payload)
    assert buffer.counters.restarts == 1
    assert played == sorted(set(played))
    assert len(played) >= 195
    assert buffer.delay < 0.04


def test_one_packet_with_a_mad_timestamp_moves_nothing_even_twice() -> None:
    buffer = PlayoutBuffer()
    for number in range(100):
        buffer.push(timestamp(number), payload(number), number * TURN)
        if number == 50:
            buffer.push(timestamp(10_000_000), b"mad", number * TURN)
            buffer.push(timestamp(10_000_000), b"mad", number * TURN)
        buffer.pull(number * TURN + 0.015)
    assert buffer.counters.restarts == 0
    assert buffer.counters.played >= 99


def test_old_packets_of_a_draining_path_do_not_restart_a_living_stream() -> None:
    living = stream(300)
    draining = [(4.0 + number * 1e-3, number) for number in range(20, 60)]
    heard = listen([*(item for item in living if not 20 <= item[1] < 60), *draining], 310)
    assert heard.counters.restarts == 0
    assert heard.counters.late == 40
    assert heard.numbers == sorted(heard.numbers)


def test_reset_takes_another_stream() -> None:
    buffer = PlayoutBuffer()
    for number in range(10):
        buffer.push(timestamp(number), payload(number), number * TURN)
        buffer.pull(number * TURN + 0.015)
    buffer.push(timestamp(20), b"old", 0.2)
    buffer.reset()
    assert len(buffer) == 0
    assert isinstance(buffer.pull(0.21), Silence)
    buffer.push(77, b"new", 0.22)
    assert buffer.pull(0.24) == Play(b"new", 77)
    assert buffer.counters.discarded == 1


def test_a_receiver_that_never_pulls_holds_a_bounded_number() -> None:
    buffer = PlayoutBuffer()
    for number in range(1000):
        buffer.push(timestamp(number), payload(number), number * TURN)
    assert len(buffer) == 64
    assert buffer.counters.discarded == 1000 - 64
    what = buffer.pull(20.0)
    assert isinstance(what, Play)
    assert int.from_bytes(what.payload, "big") > 990, "the play-out starts with what is fresh"


@pytest.mark.parametrize("drift", [1e-3, -1e-3])
def test_a_sender_with_another_clock_keeps_its_delay(drift: float) -> None:
    heard = listen([(0.05 + number * TURN * (1 + drift), number) for number in range(6000)], 6000)
    assert max(heard.delays) < 0.065
    assert len(set(range(5990)) - set(heard.numbers)) == 0
    assert heard.counters.concealed < 12


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
    "loss 5 %, jitter 10 ms": Network(0.05, lambda source: source.uniform(0, 0.010), 0.050, 0.006),
    "loss 5 %, half-normal jitter 10 ms": Network(0.05, lambda source: abs(source.gauss(0, 0.010)), 0.070, 0.012),
    "loss 10 %, half-normal jitter 20 ms": Network(0.10, lambda source: abs(source.gauss(0, 0.020)), 0.100, 0.025),
    "jitter 40 ms": Network(0.00, lambda source: source.uniform(0, 0.040), 0.065, 0.003),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_delay_and_invention_stay_small(name: str) -> None:
    network = NETWORKS[name]
    arrivals = noisy(3000, network.loss, network.jitter)
    heard = listen(arrivals, 3000)
    assert heard.mean_delay < network.delay
    assert heard.counters.concealed / 3000 <= network.invented
    assert len(heard.numbers) >= 0.99 * (len(arrivals) - 5)


@settings(max_examples=100, deadline=None)
@given(lost=st.sets(st.integers(5, 290), max_size=120), phase=st.floats(0, 0.0199))
@example(lost={26, 45}, phase=0.01)
def test_without_jitter_losses_cost_one_block_each_and_never_delay(lost: set[int], phase: float) -> None:
    heard = listen(stream(300, lost=lost), 306, phase=phase)
    assert heard.numbers == [number for number in range(300) if number not in lost]
    spare = 4 + heard.counters.held_back  # turns after the end; one block is put in when losses repeat
    assert heard.counters.concealed + heard.counters.recovered <= len(lost) + spare
    lasting = heard.counters.held_back - heard.counters.merged  # what was put in and not taken out again
    assert lasting <= 1
    assert heard.delays[-1] <= 0.030 + max(0, lasting) * TURN + 1e-6


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_whatever_arrives_order_holds_and_room_is_bounded(data: st.DataObject) -> None:
    delays = data.draw(st.lists(st.floats(0, 0.8), min_size=1, max_size=150))
    copies = data.draw(st.lists(st.integers(0, 2), min_size=len(delays), max_size=len(delays)))
    arrivals = [
        (number * TURN + delay + copy * 0.007, number)
        for number, (delay, count) in enumerate(zip(delays, copies, strict=True))
        for copy in range(count)
    ]
    heard = listen(arrivals, len(delays) + 60)
    assert all(earlier < later for earlier, later in zip(heard.numbers, heard.numbers[1:], strict=False))
    assert heard.most_held <= 64
    counters = heard.counters
    assert counters.played == len(heard.numbers)
    assert counters.played + counters.late + counters.duplicates + counters.discarded == len(arrivals)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(0, 2**32 - 1), st.floats(0, 0.1)),
            st.tuples(st.none(), st.floats(0, 0.1)),
        ),
        max_size=100,
    )
)
def test_mad_timestamps_never_break_it(steps: list[tuple[int | None, float]]) -> None:
    buffer, now = PlayoutBuffer(), 0.0
    for stamp, wait in steps:
        now += wait
        if stamp is None:
            buffer.pull(now)
        else:
            buffer.push(stamp, b"x", now)
        assert len(buffer) <= 64
        assert 0.020 <= buffer.wanted_delay <= 0.400
