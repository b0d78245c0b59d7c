"""One path followed: rates within bounds, silence, other paths."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.media.congestion.controller import (
    GREATEST_RATE,
    LEAST_RATE,
    PATH_CHANGE_SHARE,
    SILENCE,
    START_RATE,
    CongestionController,
)
from entrenous.media.feedback import TICK, TransportFeedback


def carry(
    controller: CongestionController,
    begin: float,
    seconds: float,
    rate: float,
    *,
    delay: float = 0.03,
    size: int = 1000,
) -> float:
    """Send steadily, report every 50 ms; when it ended."""
    spacing = size * 8 / rate
    now, reported = begin, begin
    times: list[int | None] = []
    base = controller.history.next_number
    while now < begin + seconds:
        controller.sent(size, now)
        times.append(round((now + delay) / TICK))
        if now - reported >= 0.05:
            reported = now
            controller.feedback(TransportFeedback(base, 0, 0, tuple(times)), now + delay + 0.01)
            times, base = [], controller.history.next_number
        now += spacing
    return now


def test_it_begins_with_what_most_paths_carry() -> None:
    assert CongestionController(0.0).rate == START_RATE


def test_what_arrives_without_delay_lets_it_grow() -> None:
    controller = CongestionController(0.0)
    carry(controller, 0.0, 5.0, START_RATE)
    assert controller.rate > START_RATE
    assert controller.queue_delay == pytest.approx(0.0, abs=0.001)
    assert controller.round_trip == pytest.approx(0.04, abs=0.02)
    assert controller.arriving == pytest.approx(START_RATE, rel=0.05)


def test_without_feedback_it_gives_way() -> None:
    controller = CongestionController(0.0)
    now = carry(controller, 0.0, 2.0, START_RATE)
    before = controller.rate
    for step in range(100):
        controller.sent(1000, now + step * 0.02)
    assert controller.timeouts == 1
    assert controller.rate == pytest.approx(before / 2)
    for step in range(1000):
        controller.sent(1000, now + 2.0 + step * 0.02)
    assert controller.rate == LEAST_RATE


def test_nothing_sent_needs_no_feedback() -> None:
    controller = CongestionController(0.0)
    now = carry(controller, 0.0, 2.0, START_RATE)
    reported = controller.rate
    controller.sent(1000, now + 100 * SILENCE)
    controller.sent(1000, now + 100 * SILENCE + 0.02)
    assert controller.timeouts <= 1
    assert controller.rate >= reported / 2


def test_a_long_queue_that_comes_suddenly_stops_all_but_sound_until_it_is_drained() -> None:
    controller = CongestionController(0.0)
    now = carry(controller, 0.0, 3.0, 1_000_000)
    now = carry(controller, now, 0.1, 1_000_000, delay=0.5)
    assert controller.rate == LEAST_RATE
    carry(controller, now, 0.5, 300_000)
    assert controller.rate > LEAST_RATE


def test_a_queue_that_jumps_up_needs_no_slope() -> None:
    controller = CongestionController(0.0)
    now = carry(controller, 0.0, 3.0, 1_000_000)
    base = controller.history.next_number
    # Packets that arrive together are one group: what they tell shows in no slope yet.
    for _ in range(5):
        controller.sent(1000, now)
    controller.feedback(TransportFeedback(base, 0, 0, tuple([round((now + 0.23) / TICK)] * 5)), now + 0.25)
    assert controller.decreases == 1
    assert controller.rate < 0.5 * START_RATE


def talk(controller: CongestionController, delays: Sequence[float]) -> float:
    """Send sound alone, 75 kbit/s, with these delays one after the other and none overtaking; the least rate."""
    arrived, base, least = 0.0, 0, START_RATE
    times: list[int | None] = []
    for number, delay in enumerate(delays):
        now = number * 0.020
        controller.sent(188, now)
        arrived = max(arrived, now + delay)
        times.append(round(arrived / TICK))
        if number % 10 == 9:
            controller.feedback(TransportFeedback(base % 65536, 0, 0, tuple(times)), arrived + 0.02)
            times, base = [], number + 1
            least = min(least, controller.rate)
    return least


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("jitter", [0.030, 0.060])
def test_sound_alone_does_not_give_way_to_jitter(jitter: float, seed: int) -> None:
    source = random.Random(seed)
    delays = [0.05 + source.uniform(0, 2 * jitter) for _ in range(3000)]
    assert talk(CongestionController(0.0), delays) == START_RATE


def test_sound_alone_gives_way_to_a_queue() -> None:
    link, delay = 50_000, 0.05
    delays = [delay] * 200 + [delay + number * 0.020 * (75_000 / link - 1) for number in range(100)]
    assert talk(CongestionController(0.0), delays) < link


def test_another_path_begins_carefully_and_what_the_old_one_did_counts_no_more() -> None:
    controller = CongestionController(0.0)
    now = carry(controller, 0.0, 5.0, 2_000_000)
    base = controller.history.next_number
    controller.sent(1000, now)
    before = controller.rate
    controller.path_changed(now + 0.001)
    assert controller.rate == pytest.approx(PATH_CHANGE_SHARE * before, rel=0.3)
    careful = controller.rate
    controller.feedback(TransportFeedback(base, 0, 0, (round((now + 0.03) / TICK),)), now + 0.04)
    assert controller.queue_delay == 0.0
    carry(controller, now + 0.002, 1.0, careful, delay=0.3)
    assert controller.rate >= careful
    assert controller.decreases == 0


def test_probing_waits_for_packets_to_be_under_way() -> None:
    controller = CongestionController(0.0)
    assert controller.probe(3_000_000, 0.0) is None
    controller.sent(1000, 0.0)
    assert controller.probe(3_000_000, 0.0) is not None


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("send"), st.integers(1, 1500), st.floats(0.0, 0.5)),
            st.tuples(
                st.just("told"), st.integers(0, 0xFFFF), st.lists(st.none() | st.integers(-9999, 9999), min_size=1)
            ),
            st.tuples(st.just("moved"), st.just(0), st.floats(0.0, 0.5)),
        ),
        max_size=60,
    )
)
def test_whatever_is_reported_the_rate_stays_within_bounds(
    events: list[tuple[str, int, float | list[int | None]]],
) -> None:
    controller = CongestionController(0.0)
    now = 0.0
    for what, number, detail in events:
        if isinstance(detail, list):
            base = number if number % 2 else controller.history.next_number - len(detail)
            controller.feedback(TransportFeedback(base & 0xFFFF, 0, 0, tuple(detail)), now)
        elif what == "send":
            now += detail
            probe = controller.probe(3_000_000, now)
            controller.sent(number, now, probe.number if probe is not None else None)
        else:
            controller.path_changed(now)
        assert LEAST_RATE <= controller.rate <= GREATEST_RATE


def test_a_limit_shows_where_a_queue_has_built_up() -> None:
    controller = CongestionController(0.0)
    now = carry(controller, 0.0, 3.0, 1_000_000)
    assert controller.bottleneck is None
    carry(controller, now, 0.1, 1_000_000, delay=0.5)
    assert controller.bottleneck is not None
