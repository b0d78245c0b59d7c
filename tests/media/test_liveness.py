"""Silence makes a leg suspect, then stalled, once each; a packet makes it flow again."""

from __future__ import annotations

from entrenous.media.events import Flowing, Stalled, Suspect
from entrenous.media.liveness import Liveness


def test_nothing_is_judged_before_a_leg_is_in_use() -> None:
    assert Liveness(0.5, 1.0).poll(1000.0) is None


def test_the_stages_of_silence() -> None:
    liveness = Liveness(0.5, 1.0)
    liveness.restart(0.0)
    assert liveness.heard(0.125) == Flowing(0.125)
    assert liveness.heard(0.25) is None
    assert liveness.poll(0.7) is None
    assert liveness.poll(0.75) == Suspect(0.75)
    assert liveness.poll(0.8) is None
    assert liveness.poll(1.25) == Stalled(1.25)
    assert liveness.poll(5.0) is None
    assert liveness.heard(6.0) == Flowing(6.0)


def test_a_long_pause_of_the_process_is_a_stall_at_once() -> None:
    liveness = Liveness(0.5, 1.0)
    liveness.restart(0.0)
    liveness.heard(0.1)
    assert liveness.poll(9.0) == Stalled(9.0)


def test_the_first_packet_has_more_time() -> None:
    liveness = Liveness(0.5, 1.0, grace=5.0)
    liveness.restart(10.0)
    assert liveness.poll(14.9) is None
    assert liveness.poll(15.0) == Stalled(15.0)


def test_the_first_packet_of_a_later_leg_has_less_time_since_the_gate_is_open() -> None:
    liveness = Liveness(0.5, 1.0, grace=5.0)
    liveness.restart(10.0)
    liveness.heard(11.0)
    liveness.restart(20.0)
    assert liveness.poll(21.9) is None
    assert liveness.poll(22.0) == Stalled(22.0)


def test_a_new_leg_begins_anew() -> None:
    liveness = Liveness(0.5, 1.0)
    liveness.restart(0.0)
    liveness.heard(0.1)
    liveness.poll(2.0)
    liveness.restart(2.0)
    assert liveness.poll(3.5) is None
    assert liveness.heard(3.6) == Flowing(3.6)
