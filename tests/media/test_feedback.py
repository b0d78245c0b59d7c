"""Transport-wide feedback on the wire, and its making from arrivals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.errors import RemoteProtocolError
from entrenous.media.feedback import (
    LONGEST_INTERVAL,
    MAX_STATUSES,
    REACH,
    REFERENCE_TICKS,
    SHORTEST_INTERVAL,
    TICK,
    FeedbackMaker,
    TransportFeedback,
    read_feedback,
    write_feedback,
)


@st.composite
def feedbacks(draw: st.DrawFn) -> TransportFeedback:
    steps = draw(
        st.lists(
            st.one_of(
                st.lists(st.none(), max_size=40),
                st.lists(st.integers(0, 255), max_size=40),
                st.lists(st.integers(-32768, 32767), max_size=12),
                st.lists(st.one_of(st.none(), st.integers(0, 255)), max_size=40),
            ),
            max_size=12,
        )
    )
    arrivals: list[int | None] = []
    time = 0
    for step in (step for part in steps for step in part):
        time += step or 0
        arrivals.append(None if step is None else time)
    arrivals = arrivals or [None]
    return TransportFeedback(
        draw(st.integers(0, 0xFFFF)), draw(st.integers(0, 255)), draw(st.integers(0, 0xFF_FFFF)), tuple(arrivals)
    )


@given(feedbacks())
def test_what_is_written_is_read(feedback: TransportFeedback) -> None:
    data = write_feedback(1, 2, feedback)
    assert len(data) % 4 == 0
    assert int.from_bytes(data[2:4], "big") == len(data) // 4 - 1
    assert read_feedback(data) == feedback


def test_the_bytes_are_those_of_the_draft() -> None:
    data = write_feedback(0x01020304, 0x05060708, TransportFeedback(0x1234, 7, 0x00ABCD, (1, 2, None, 900)))
    assert data == bytes.fromhex(
        "af cd 00 06  01 02 03 04  05 06 07 08  12 34 00 04  00 ab cd 07  d4 80 01 01  03 82 00 02".replace(" ", "")
    )


@given(st.binary(max_size=200))
def test_anything_is_read_or_refused(body: bytes) -> None:
    data = b"\x8f\xcd\x00\x00" + body
    try:
        feedback = read_feedback(data)
    except RemoteProtocolError:
        return
    assert 0 < len(feedback.arrivals) <= MAX_STATUSES


@given(feedbacks(), st.data())
def test_no_beginning_of_one_is_read(feedback: TransportFeedback, data: st.DataObject) -> None:
    whole = write_feedback(1, 2, feedback)
    needed = len(whole) - (whole[-1] if whole[0] & 0x20 else 0)
    cut = bytes([whole[0] & ~0x20]) + whole[1 : data.draw(st.integers(1, needed - 1))]
    with pytest.raises(RemoteProtocolError):
        read_feedback(cut)


HEADER = bytes.fromhex("8fcd0000 00000001 00000002 0000".replace(" ", ""))


@pytest.mark.parametrize(
    ("count", "rest"),
    [
        pytest.param(0, "", id="no packets"),
        pytest.param(MAX_STATUSES + 1, "1fff", id="too many packets"),
        pytest.param(3, "0000 0003", id="a run of none"),
        pytest.param(2, "6002", id="a reserved status in a run"),
        pytest.param(1, "f000 00000000", id="a reserved status in a vector"),
        pytest.param(2, "2002 05", id="a delta too few"),
        pytest.param(1, "2001 05 00000000", id="bytes too many"),
    ],
)
def test_what_does_not_fit_together_is_refused(count: int, rest: str) -> None:
    with pytest.raises(RemoteProtocolError):
        read_feedback(HEADER + count.to_bytes(2, "big") + bytes(4) + bytes.fromhex(rest.replace(" ", "")))


@pytest.mark.parametrize("last", [0, 255])
def test_impossible_padding_is_refused(last: int) -> None:
    data = HEADER + b"\x00\x01" + bytes(4) + b"\x20\x01\x05" + bytes([last])
    with pytest.raises(RemoteProtocolError):
        read_feedback(bytes([data[0] | 0x20]) + data[1:])


class Receiver:
    """A maker, and what its feedback says."""

    def __init__(self) -> None:
        self.maker = FeedbackMaker(1, 2)
        self.reported: dict[int, float | None] = {}
        self.times: list[float] = []

    def arrive(self, sequence: int, at: float, size: int = 1200) -> None:
        self.maker.arrived(sequence & 0xFFFF, size, at)
        self.poll(at)

    def poll(self, now: float) -> None:
        packets = self.maker.poll(now)
        if packets:
            self.times.append(now)
        for packet in packets:
            feedback = read_feedback(packet)
            for place, ticks in enumerate(feedback.arrivals):
                at = None if ticks is None else (feedback.reference * REFERENCE_TICKS + ticks) * TICK
                self.reported[(feedback.base_sequence + place) & 0xFFFF] = at


def test_arrivals_are_reported_with_their_times_and_losses() -> None:
    receiver = Receiver()
    for sequence in (65_530, 65_531, 65_533, 65_534, 65_535, 0, 1):
        receiver.arrive(sequence, 100.0 + (sequence - 65_530) % 65_536 * 0.01)
    receiver.poll(101.0)
    first = receiver.reported[65_530]
    assert first is not None
    offsets = {number: at - first if at is not None else None for number, at in receiver.reported.items()}
    assert offsets.pop(65_532) is None
    assert offsets == {
        number: pytest.approx((number - 65_530) % 65_536 * 0.01, abs=TICK)
        for number in (65_530, 65_531, 65_533, 65_534, 65_535, 0, 1)
    }


def test_the_clock_of_the_machine_is_not_told() -> None:
    readings = []
    for start in (5.0, 900_000.0):
        receiver = Receiver()
        receiver.arrive(0, start)
        readings.append(receiver.reported[0])
    assert readings == [pytest.approx(1.0), pytest.approx(1.0)]


def test_what_comes_late_is_reported_once_more() -> None:
    receiver = Receiver()
    for sequence in (0, 1, 3, 4):
        receiver.arrive(sequence, sequence * 0.001)
    receiver.poll(0.3)
    assert receiver.reported[2] is None
    receiver.arrive(2, 0.31)
    receiver.poll(0.7)
    assert receiver.reported[2] == pytest.approx(1.31, abs=TICK)
    assert receiver.reported[4] == pytest.approx(1.004, abs=TICK)


def test_what_comes_far_too_late_is_ignored() -> None:
    receiver = Receiver()
    for sequence in range(REACH + 100):
        receiver.arrive(sequence + 10, sequence * 0.001)
    receiver.poll(10.0)
    receiver.reported.clear()
    receiver.arrive(5, 11.0)
    receiver.poll(12.0)
    assert receiver.reported == {}


def test_nothing_is_said_when_nothing_has_arrived() -> None:
    maker = FeedbackMaker(1, 2)
    assert maker.poll(1.0) == []
    maker.arrived(0, 100, 1.0)
    assert len(maker.poll(1.0)) == 1
    assert maker.poll(9.0) == []


@pytest.mark.parametrize(
    ("size", "spacing", "interval"), [(120, 0.02, LONGEST_INTERVAL), (1200, 0.005, SHORTEST_INTERVAL)]
)
def test_feedback_takes_a_twentieth_of_what_is_received(size: int, spacing: float, interval: float) -> None:
    receiver = Receiver()
    for sequence in range(int(5 / spacing)):
        receiver.arrive(sequence, sequence * spacing, size)
    recent = [at for at in receiver.times if at > 2.0]
    assert (recent[-1] - recent[0]) / (len(recent) - 1) == pytest.approx(interval, rel=0.1)


def test_an_outage_is_reported_in_several_packets() -> None:
    receiver = Receiver()
    receiver.arrive(0, 0.0)
    receiver.arrive(3000, 20.0)
    assert receiver.reported.keys() == set(range(3001))
    assert receiver.reported[3000] == pytest.approx(21.0, abs=TICK)


def test_a_pause_longer_than_a_delta_begins_another_feedback() -> None:
    receiver = Receiver()
    maker = receiver.maker
    for sequence, at in enumerate((0.0, 0.1, 60.0)):
        maker.arrived(sequence, 100, at)
    receiver.poll(60.0)
    assert receiver.reported[2] == pytest.approx(61.0, abs=TICK)


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.floats(0, 0.1)), max_size=300))
def test_whatever_numbers_come_feedback_stays_bounded_and_readable(arrivals: list[tuple[int, float]]) -> None:
    receiver = Receiver()
    now = 0.0
    for sequence, step in arrivals:
        now += step
        receiver.arrive(sequence, now)
        assert len(receiver.maker._arrivals) <= MAX_STATUSES + REACH
