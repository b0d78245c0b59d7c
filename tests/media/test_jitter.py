"""The play-out buffer: a loss costs one block and no delay, order holds, room is bounded, delay follows the network."""

from __future__ import annotations

import random

import pytest

from entrenous.media.jitter import PlayoutBuffer
from entrenous.media.playout_steps import Play, Step
from lab.playout import (
    BASE,
    FIRST,
    TURN,
    Arrival,
    Heard,
    listen,
    payload,
    stream,
    timestamp,
)

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
