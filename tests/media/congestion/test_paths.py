"""Calls over simulated paths: how fast they give way and come back, and how they share (time is simulated)."""

from __future__ import annotations

import itertools

import pytest

from entrenous.media.allocation import Demand
from entrenous.media.streams import StreamKind
from lab.bottleneck import AUDIO, SCREEN, VIDEO, CubicFlow, Link, LossBasedFlow, SimulatedCall, World

MEGABIT = 1_000_000.0
SOUND_ON_THE_WIRE = 62_000.0


def run(
    call_seconds: float, seed: int, rate: float, *, link: dict[str, float] | None = None, **call: float
) -> SimulatedCall:
    world = World(seed)
    simulated = SimulatedCall(world, Link(world, rate, **(link or {})), **call)  # type: ignore[arg-type]
    world.run(call_seconds)
    return simulated


def share(values: list[float]) -> float:
    """Jain's index."""
    return sum(values) ** 2 / (len(values) * sum(value * value for value in values))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_link_that_narrows_and_widens(seed: int) -> None:
    world = World(seed)
    link = Link(world, 2 * MEGABIT, queue=0.5)
    trace = SimulatedCall(world, link).trace
    world.at(10.0, lambda: setattr(link, "rate", 0.3 * MEGABIT))
    world.at(25.0, lambda: setattr(link, "rate", 2 * MEGABIT))
    world.run(32.0)
    assert trace.arriving(4.0, 10.0) > 0.7 * 2 * MEGABIT
    # Within a second it sends no more than the link carries, and the half second of queue is drained a moment later.
    assert trace.sending(11.0, 12.0) <= 1.1 * 0.3 * MEGABIT
    assert max(trace.delays(11.5, 12.5)) < 0.15
    assert trace.arriving(15.0, 25.0) > 0.7 * 0.3 * MEGABIT
    assert sum(trace.delays(15.0, 25.0)) / len(trace.delays(15.0, 25.0)) < 0.1
    assert max(trace.arriving(25 + begin / 2, 25.5 + begin / 2) for begin in range(10)) >= 0.8 * 2 * MEGABIT
    assert trace.arriving(29.0, 32.0) > 0.6 * 2 * MEGABIT


@pytest.mark.parametrize("loss", [0.05, 0.10])
def test_loss_without_delay_costs_little(loss: float) -> None:
    trace = run(25.0, 1, MEGABIT, link={"loss": loss}).trace
    assert trace.sending(5.0, 25.0) >= 0.7 * MEGABIT


def test_a_link_that_drops_instead_of_queueing_is_not_overrun() -> None:
    trace = run(25.0, 1, MEGABIT, link={"queue": 0.02}).trace
    assert 0.6 * MEGABIT < trace.sending(10.0, 25.0) < 1.1 * MEGABIT


def test_jitter_does_not_starve() -> None:
    trace = run(25.0, 1, MEGABIT, link={"jitter": 0.03}).trace
    assert trace.sending(10.0, 25.0) > 0.7 * MEGABIT


@pytest.mark.parametrize(
    "way", [{"back_loss": 0.1}, {"back": 0.4}, {"clock": -5000.0, "drift": 2e-4}], ids=["lost", "late", "drifting"]
)
def test_feedback_may_be_lost_late_or_by_a_drifting_clock(way: dict[str, float]) -> None:
    trace = run(25.0, 1, MEGABIT, **way).trace
    assert 0.65 * MEGABIT < trace.sending(10.0, 25.0) < 1.05 * MEGABIT
    assert max(trace.delays(10.0, 25.0)) < 0.3


def test_two_calls_share_a_link() -> None:
    world = World(1)
    link = Link(world, 2 * MEGABIT)
    calls = [SimulatedCall(world, link)]
    world.at(3.0, lambda: calls.append(SimulatedCall(world, link)))
    world.run(50.0)
    assert share([call.trace.arriving(30.0, 50.0) for call in calls]) > 0.9


def test_camera_and_screen_get_their_weights() -> None:
    world = World(1)
    call = SimulatedCall(world, Link(world, 2 * MEGABIT), screen=Demand(60_000, 3_000_000, weight=2.0))
    world.run(20.0)
    camera, screen = (call.trace.arriving(5.0, 20.0, (kind,)) for kind in (VIDEO, SCREEN))
    assert screen / camera == pytest.approx(2.0, rel=0.15)


def test_sound_never_waits_for_pictures() -> None:
    trace = run(20.0, 1, MEGABIT).trace
    sent = [at for at, _, kind in trace.sent if kind is AUDIO]
    assert all(later - earlier == pytest.approx(0.020) for earlier, later in itertools.pairwise(sent))
    assert trace.delays(5.0, 20.0)[-1] < 0.15


def test_what_is_not_sent_is_not_taken_for_carried() -> None:
    call = run(30.0, 1, 2 * MEGABIT, most={StreamKind.VIDEO: 300_000.0})  # type: ignore[arg-type]
    assert call.departures.controller.rate < 3.1 * MEGABIT
    world = World(1)
    alone = SimulatedCall(world, Link(world, 2 * MEGABIT), camera=None)
    world.run(30.0)
    assert alone.departures.controller.rate <= 600_000.0
    assert alone.departures.padded == 0


def test_a_path_too_narrow_for_pictures_carries_the_sound() -> None:
    trace = run(20.0, 1, 80_000.0).trace
    assert trace.arriving(5.0, 20.0, (AUDIO,)) == pytest.approx(SOUND_ON_THE_WIRE, rel=0.02)
    assert sum(trace.delays(5.0, 20.0)) / len(trace.delays(5.0, 20.0)) < 0.1


def test_beside_a_bulk_transfer_the_call_goes_on() -> None:
    world = World(1)
    link = Link(world, 2 * MEGABIT, queue=0.2)
    call = SimulatedCall(world, link)
    transfer = LossBasedFlow(world, link)
    world.run(40.0)
    assert call.trace.arriving(20.0, 40.0) > SOUND_ON_THE_WIRE
    assert transfer.arrived * 8 / 40.0 > 0.5 * MEGABIT


def test_a_new_path_is_taken_up_in_a_moment() -> None:
    world = World(1)
    link = Link(world, 2 * MEGABIT)
    call = SimulatedCall(world, link)

    def move() -> None:
        link.delay = 0.120
        call.departures.path_changed(world.now)

    world.at(10.0, move)
    world.run(16.0)
    assert call.departures.controller.timeouts == 0
    assert max(call.trace.delays(10.5, 16.0)) < 0.3
    assert call.trace.arriving(13.0, 16.0) > 0.6 * 2 * MEGABIT


@pytest.mark.parametrize("seed", [1, 2])
def test_a_call_begins_without_filling_the_queue(seed: int) -> None:
    """Its first pictures stand alone, and it finds out within the first second what the link carries."""
    trace = run(6.0, seed, 2 * MEGABIT, link={"queue": 0.3}, key_frame=6.0).trace
    assert max(trace.delays(0.0, 2.0)) < 0.025 + 0.065
    assert trace.arriving(1.0, 6.0) > 0.7 * 2 * MEGABIT


@pytest.mark.parametrize("seed", [2, 3])
def test_jitter_that_keeps_the_order_does_not_hide_a_link_that_widens(seed: int) -> None:
    world = World(seed)
    link = Link(world, 2 * MEGABIT, queue=0.3, jitter=0.06, in_order=True)
    trace = SimulatedCall(world, link, key_frame=6.0).trace
    world.at(10.0, lambda: setattr(link, "rate", 0.3 * MEGABIT))
    world.at(30.0, lambda: setattr(link, "rate", 2 * MEGABIT))
    world.run(50.0)
    assert trace.sending(11.0, 12.0) <= 1.1 * 0.3 * MEGABIT
    assert sum(trace.delays(15.0, 30.0)) / len(trace.delays(15.0, 30.0)) < 0.15
    assert trace.arriving(40.0, 50.0) > 0.7 * 2 * MEGABIT


@pytest.mark.parametrize("seed", [1, 2])
def test_beside_a_transfer_in_a_short_queue_there_is_a_share_for_both(seed: int) -> None:
    world = World(seed)
    link = Link(world, 2 * MEGABIT, queue=0.1)
    call = SimulatedCall(world, link, key_frame=6.0)
    world.run(5.0)
    transfer = CubicFlow(world, link)
    world.run(20.0)
    before = transfer.arrived
    world.run(60.0)
    assert call.trace.arriving(20.0, 60.0) > 0.3 * 2 * MEGABIT
    assert (transfer.arrived - before) * 8 / 40.0 > 0.15 * 2 * MEGABIT
