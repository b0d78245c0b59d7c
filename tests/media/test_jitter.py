"""The play-out buffer: a loss costs one block and no delay, order holds, room is bounded, delay follows the network."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from entrenous.media.codecs.base import Samples
from entrenous.media.jitter import PlayoutBuffer
from entrenous.media.playout import Playout
from entrenous.media.playout_steps import Conceal, Play, PlayoutCounters, Recover, Step

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


# --- scripts


@pytest.mark.parametrize("phase", [0.000, 0.005, 0.010, 0.015, 0.019])
def test_a_clean_stream_starts_within_two_turns_and_plays_every_packet(phase: float) -> None:
    heard = listen(stream(100), phase=phase)
    assert heard.first_at is not None
    assert heard.first_at - BASE <= 0.0375 + 1e-9
    assert max(heard.delays) <= 0.0375 + 1e-9
    assert heard.steps[:100] == [str(number) for number in range(100)]
    assert heard.counters.shortened == heard.counters.lengthened == 0


def test_nothing_before_the_first_packet() -> None:
    assert listen([]) == Heard(wanted=0.020)


def test_one_lost_packet_costs_one_recovered_block_and_no_delay() -> None:
    heard = listen(stream(100, lost=[40]))
    at = heard.steps.index("39")
    assert heard.steps[at : at + 4] == ["39", "fec 40", "41", "42"]
    assert len({round(delay, 6) for delay in heard.delays}) == 1


def test_without_fec_a_lost_packet_is_concealed() -> None:
    heard = listen([Arrival(at, number, fec=False) for at, number in stream(100, lost=[40])])
    at = heard.steps.index("39")
    assert heard.steps[at : at + 4] == ["39", "plc", "41", "42"]
    assert heard.counters.concealed_share == 0.01
    assert len({round(delay, 6) for delay in heard.delays}) == 1


def test_a_loss_seen_only_when_nothing_is_here_costs_one_concealed_block_and_no_delay() -> None:
    # The stream started without a head start to spare: the successor of a lost packet is not here yet at its turn.
    arrivals = [(0.050, 0), *((0.062 + number * TURN, number) for number in range(1, 100) if number != 40)]
    heard = listen(arrivals, phase=0.0)
    at = heard.steps.index("39")
    assert heard.steps[at : at + 3] in (["39", "plc", "41"], ["39", "fec 40", "41"])
    assert heard.numbers == [number for number in range(100) if number != 40]
    assert round(heard.delays[-1], 6) == round(heard.delays[5], 6)


@pytest.mark.parametrize("length", [2, 3, 10, 80])
def test_a_gap_of_lost_packets_costs_that_many_blocks_and_no_delay(length: int) -> None:
    heard = listen(stream(200, lost=range(50, 50 + length)))
    begun, after = heard.steps.index("49"), heard.steps.index(str(50 + length))
    assert after - begun == length + 1
    assert heard.steps[begun + 1 : after - 1] == ["plc"] * (length - 1)
    assert heard.steps[after - 1] in ("plc", f"fec {49 + length}")
    assert heard.delays[-1] == pytest.approx(heard.delays[0])
    assert heard.counters.comfort == max(0, length - 51)


def test_a_swapped_pair_is_put_right_or_recovered() -> None:
    arrivals = stream(100)
    arrivals[30], arrivals[31] = (arrivals[31][0], 30), (arrivals[30][0], 31)
    heard = listen(arrivals)
    assert heard.numbers == sorted(heard.numbers)
    assert set(range(100)) - set(heard.numbers) <= {30}


def test_duplicates_are_dropped_before_and_after_their_turn() -> None:
    twice = stream(100) + [(at + 0.001, number) for at, number in stream(100)]
    later = [(at + 0.1, number) for at, number in stream(90)]
    heard = listen(twice + later)
    assert heard.numbers == list(range(100))
    assert heard.counters.duplicates == 190
    assert heard.counters.late == 0


def test_a_packet_after_its_turn_is_late() -> None:
    arrivals = [(at + (0.2 if number == 40 else 0), number) for at, number in stream(100)]
    heard = listen(arrivals)
    assert 40 not in heard.numbers
    assert heard.counters.late == 1
    assert heard.steps.count("fec 40") == 1
    assert round(heard.delays[-1], 6) == round(heard.delays[0], 6), "one straggler in two seconds is no reason to wait"


def test_a_stalled_path_is_waited_for_and_the_delay_taken_back() -> None:
    stalled = [(max(at, 1.13) if at > 1.05 else at, number) for at, number in stream(1000)]
    heard = listen(stalled)
    assert heard.numbers == list(range(1000)), "what came 80 ms late is played, for nothing newer was here"
    assert max(heard.delays) > 0.06
    assert heard.delays[-1] < 0.04
    assert heard.counters.concealed <= 5


def test_what_an_outage_held_back_is_left_out_at_once() -> None:
    burst = [(3.0 + number * 1e-4 if 2.0 < at < 3.0 else at, number) for at, number in stream(500)]
    heard = listen(burst)
    assert heard.numbers == sorted(set(heard.numbers))
    assert heard.numbers[-1] == 499
    assert heard.counters.discarded > 20
    after = next(index for index, at in enumerate(heard.turns) if at > 3.5)
    assert max(heard.delays[after:]) < 0.06


def test_after_an_outage_the_stream_goes_on_with_its_delay() -> None:
    paused = [(at, number) for at, number in stream(600) if not 2.0 < at < 7.0]
    heard = listen(paused)
    assert heard.counters.concealed <= 51
    assert 195 <= heard.counters.comfort <= 205
    assert heard.delays[-1] == pytest.approx(heard.delays[0])
    assert heard.counters.discarded == 0


def test_a_sender_whose_clock_stood_still_in_a_pause_is_followed() -> None:
    frozen = [(at + (5.0 if number >= 100 else 0.0), number) for at, number in stream(600)]
    heard = listen(frozen)
    assert heard.counters.restarts == 1
    assert heard.numbers == list(range(600))
    assert heard.delays[-1] < 5.05


def test_a_path_that_became_longer_leaves_the_delay_as_it_was_before_long() -> None:
    longer = [(at + (0.15 if number >= 500 else 0.0), number) for at, number in stream(5000)]
    heard = listen(longer)
    assert heard.numbers == list(range(5000))
    assert heard.delays[-1] < 0.15 + 0.045


def test_a_path_that_became_longer_is_not_taken_for_delay_that_is_too_much() -> None:
    longer = [(at + (0.25 if number >= 500 else 0.0), number) for at, number in stream(1500)]
    heard = listen(longer)
    assert heard.numbers == list(range(1500))
    assert heard.counters.concealed <= 14, "once for the step itself"


@pytest.mark.parametrize("jump", [2**31, 48_000 * 3600, -48_000 * 60])
def test_a_jump_of_timestamps_is_followed_after_two_packets(jump: int) -> None:
    buffer = PlayoutBuffer()
    played: list[bytes] = []
    for number in range(200):
        now = number * TURN
        stamp = timestamp(number) if number < 100 else timestamp(number, FIRST + jump)
        buffer.push(stamp, payload(number), now)
        step = buffer.pull(now + 0.015)
        if isinstance(step, Play):
            assert buffer.timestamp_at(step.packet.position * 960) == step.packet.timestamp
            played.append(step.packet.payload)
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
            buffer.push_copy(timestamp(10_000_000), b"mad", number * TURN)
        buffer.pull(number * TURN + 0.015)
    assert buffer.counters.restarts == 0
    assert buffer.counters.played >= 99


def test_old_packets_of_a_draining_path_do_not_restart_a_living_stream() -> None:
    living = stream(300)
    draining = [(4.0 + number * 1e-3, number) for number in range(20, 60)]
    heard = listen([*(item for item in living if not 20 <= item[1] < 60), *draining])
    assert heard.counters.restarts == 0
    assert heard.counters.late == 40
    assert heard.numbers == sorted(heard.numbers)


def test_reset_takes_another_stream() -> None:
    buffer = PlayoutBuffer()
    for number in range(10):
        buffer.push(timestamp(number), payload(number), number * TURN)
        buffer.pull(number * TURN + 0.019)
    buffer.push(timestamp(20), b"old", 0.2)
    buffer.reset()
    assert len(buffer) == 0
    assert buffer.pull(0.21) is None
    buffer.push(77, b"new", 0.22)
    step = buffer.pull(0.24)
    assert isinstance(step, Play)
    assert (step.packet.payload, step.packet.timestamp) == (b"new", 77)
    assert buffer.counters.discarded == 1


def test_a_receiver_that_never_pulls_holds_a_bounded_number() -> None:
    buffer = PlayoutBuffer()
    for number in range(1000):
        buffer.push(timestamp(number), payload(number), number * TURN)
    assert len(buffer) == 64
    assert buffer.counters.discarded == 1000 - 64
    step = buffer.pull(20.0)
    assert isinstance(step, Play)
    assert int.from_bytes(step.packet.payload[:4], "big") > 980, "the play-out starts with what is fresh"


# --- bundles and long packets


def test_a_copy_fills_the_place_of_a_lost_packet() -> None:
    lost = {40, 41, 60}
    arrivals = [Arrival(at, number, fec=False, copies=(1,)) for at, number in stream(100, lost=lost)]
    heard = listen(arrivals)
    assert heard.numbers == [number for number in range(100) if number != 40]
    assert heard.counters.copies_played == 2
    assert (heard.counters.duplicates, heard.counters.late) == (0, 0)


def test_a_far_copy_is_waited_for_once_losses_repeat() -> None:
    source = random.Random(5)
    lost = {number for number in range(1, 3000) if source.random() < 0.08}
    arrivals = [Arrival(at, number, fec=False, copies=(3,)) for at, number in stream(3000, lost=lost)]
    heard = listen(arrivals)
    assert 0.060 <= heard.wanted <= 0.070
    assert len(set(range(1000, 2990)) - set(heard.numbers)) < 0.02 * 2000
    assert heard.mean_delay < 0.090


@pytest.mark.parametrize("seed", range(3))
def test_copies_are_not_waited_for_much_beyond_jitter(seed: int) -> None:
    source = random.Random(seed)
    losing, latest, arrivals = False, 0.0, []
    for number in range(3000):
        losing = source.random() < (0.7 if losing else 0.08)
        latest = max(latest, BASE + number * TURN + source.uniform(0.0, 0.060))
        if not losing:
            arrivals.append(Arrival(latest, number, copies=(3,)))
    jitter_alone = listen([Arrival(each.at, each.number) for each in arrivals])
    heard = listen(arrivals)
    assert heard.wanted <= 0.060 + 0.050
    assert heard.mean_delay <= jitter_alone.mean_delay + 0.045
    assert heard.counters.copies_played > 300


@pytest.mark.parametrize("length", [3, 4, 8])
def test_a_single_burst_leaves_no_delay_for_the_copies_behind_it(length: int) -> None:
    arrivals = [
        Arrival(at, number, fec=False, copies=(3,)) for at, number in stream(300, lost=range(150, 150 + length))
    ]
    heard = listen(arrivals)
    assert max(heard.delays) <= 0.020 + TURN
    assert heard.counters.concealed == length


def test_the_original_wins_over_its_copy() -> None:
    buffer = PlayoutBuffer()
    buffer.push(timestamp(0), b"first", 0.0)
    buffer.push(timestamp(2), b"third", 0.01)
    buffer.push_copy(timestamp(1), b"copy", 0.01)
    buffer.push(timestamp(1), b"second", 0.011)
    buffer.push_copy(timestamp(1), b"copy", 0.012)
    played = [step.packet.payload for turn in range(3) if isinstance(step := buffer.pull(0.025 + turn * TURN), Play)]
    assert played == [b"first", b"second", b"third"]
    assert (buffer.counters.copies_played, buffer.counters.duplicates) == (0, 0)


def test_a_copy_of_what_fec_has_recovered_is_of_no_use() -> None:
    arrivals = [Arrival(at, number, copies=(3,)) for at, number in stream(300, lost=range(20, 300, 20))]
    heard = listen(arrivals)
    assert (heard.counters.recovered, heard.counters.copies_played) == (14, 0)
    assert heard.wanted <= 0.025


@pytest.mark.parametrize("blocks", [2, 3])
def test_long_packets_are_cut_into_blocks(blocks: int) -> None:
    arrivals = [
        Arrival(BASE + number * TURN, number, blocks=blocks) for number in range(0, 300, blocks) if number != 150
    ]
    heard = listen(arrivals)
    assert heard.numbers == [number for number in range(300) if not 150 <= number < 150 + blocks]
    assert heard.counters.concealed + heard.counters.recovered - blocks <= 3
    assert heard.delays[-1] == pytest.approx(heard.delays[0], abs=0.001)


def test_the_length_of_packets_may_change_at_any_time() -> None:
    arrivals, number = [], 0
    source = random.Random(3)
    while number < 3000:
        blocks = source.choice((1, 2, 3)) if number % 600 < 300 else 1
        arrivals.append(Arrival(BASE + (number + blocks - 1) * TURN, number, blocks=blocks))
        number += blocks
    heard = listen(arrivals)
    assert heard.numbers == list(range(number))
    assert heard.counters.late == 0
    assert max(heard.delays) < 0.125


def test_packets_that_overlap_are_sorted_out() -> None:
    buffer = PlayoutBuffer()
    buffer.push(timestamp(0), b"long", 0.0, blocks=3)
    buffer.push(timestamp(1), b"inside", 0.001)
    buffer.push(timestamp(3), b"next", 0.002)
    steps: list[Step | None] = [buffer.pull(0.03), buffer.pull(0.09)]
    assert [step.packet.payload for step in steps if isinstance(step, Play)] == [b"long", b"next"]
    assert buffer.counters.discarded == 1


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
