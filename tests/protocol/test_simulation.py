"""A thousand calls over bad links, with a server that is killed, in simulated time; ENTRENOUS_SIM_SEED replays one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from entrenous.protocol.states import CallState, EndReason
from entrenous_wire.messages import Deliver
from world.habits import Habits
from world.links import Weather
from world.simulation import Simulation


def simulate(seed: int, calls: int, habits: Habits | None = None, weather: Weather | None = None) -> Simulation:
    """One run to its rest; a failure names the seed that replays it."""
    seed = int(os.environ.get("ENTRENOUS_SIM_SEED", seed))
    try:
        world = Simulation(seed, habits=habits, weather=weather)
        world.run(calls)
        world.check_rest()
    except AssertionError as error:
        raise AssertionError(f"{error}\nreplay with ENTRENOUS_SIM_SEED={seed}") from error
    return world


STORM = Habits(cut_every=20.0, kill_every=300.0, leg_fails=0.4, stalls=0.6, outlasts_patience=True)
GALE = Weather(hiccup=0.2, slowest=0.6)


def test_a_thousand_calls_over_bad_links_and_a_server_that_is_killed() -> None:
    world = simulate(20_261, 1000)
    world.check_records()
    assert world.server.kills > 0
    assert len(world.witness.tokens) > 300
    expected = {
        EndReason.LOCAL,
        EndReason.REMOTE,
        EndReason.DECLINED,
        EndReason.BUSY,
        EndReason.CANCELLED,
        EndReason.UNANSWERED,
        EndReason.ELSEWHERE,
    }
    assert expected <= set(world.witness.reasons)
    assert set(CallState) - {CallState.NEW} == set(world.witness.seen_states)


def test_devices_that_lose_their_memory_leave_no_call_half_open() -> None:
    world = simulate(7, 300, habits=Habits(crash_every=300.0))
    assert world.witness.reasons[EndReason.FAILED] + world.witness.reasons[EndReason.LOST] > 0


@pytest.mark.parametrize("seed", [11, 12, 165])
def test_stormy_weather(seed: int) -> None:
    world = simulate(seed, 300, habits=STORM, weather=GALE)
    world.check_records()
    assert world.witness.seen_states[CallState.RECONNECTING] > 20


def test_everybody_calls_at_once() -> None:
    world = simulate(3, 300, habits=Habits(idle=2.0, cut_every=0.0, kill_every=0.0))
    assert world.witness.carried_over, "both called each other at once, and it became one call"


def test_a_seed_makes_the_same_run_again() -> None:
    def fingerprint() -> tuple[object, ...]:
        world = simulate(5, 40)
        return world.clock.now, world.witness.messages, dict(world.witness.reasons), sorted(world.witness.tokens)

    assert fingerprint() == fingerprint()


def break_order(monkeypatch: pytest.MonkeyPatch) -> None:
    from entrenous.protocol.outbox import Outbox

    take = Outbox.take_sayable
    monkeypatch.setattr(Outbox, "take_sayable", lambda box, now: take(box, now)[::-1])


def forget_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    from entrenous.protocol.inbox import Inbox

    arrive = Inbox.arrive

    def always_new(box: Inbox, message: Deliver, now: float) -> bool:
        arrive(box, message, now)
        return True

    monkeypatch.setattr(Inbox, "arrive", always_new)


def say_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from entrenous.protocol.outbox import Outbox

    monkeypatch.setattr(Outbox, "rewind", lambda box: None)


@pytest.mark.parametrize("fault", [break_order, forget_repeats, say_nothing_again])
def test_a_fault_in_the_session_is_found(
    fault: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    with pytest.raises(AssertionError, match="replay with"):
        simulate(11, 300, habits=replace(STORM, outlasts_patience=False), weather=GALE)


LONG_CALLS = Habits(talk=400.0, idle=200.0, kill_every=150.0)


def test_the_records_of_long_calls_outlive_the_server() -> None:
    world = simulate(2, 60, habits=LONG_CALLS)
    world.check_records()
    assert world.server.kills > 5


def test_records_that_nobody_claims_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from entrenous.protocol.records import Records

    monkeypatch.setattr(Records, "live", lambda records: [])
    with pytest.raises(AssertionError, match="record"):
        simulate(2, 60, habits=LONG_CALLS).check_records()
