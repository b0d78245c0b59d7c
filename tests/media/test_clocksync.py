"""A picture is seen when its sound is heard."""

from __future__ import annotations

import pytest

from entrenous.media.clocksync import MAX_WAIT, PlayoutClock
from entrenous.media.streams import StreamKind

SECOND = 1 << 32


def synchronised(sound_delay: float = 0.1) -> PlayoutClock:
    """The sender's clock at 100 s is sound 5000 and picture 9000; sound of that moment is heard at our 50 s."""
    clock = PlayoutClock()
    clock.sender_reported(StreamKind.AUDIO, 100 * SECOND, 5000)
    clock.sender_reported(StreamKind.VIDEO, 100 * SECOND, 9000)
    clock.sound_played(5000, 50.0 + sound_delay)
    return clock


def test_a_picture_waits_for_its_sound() -> None:
    clock = synchronised()
    assert clock.show_at(StreamKind.VIDEO, 9000, 50.05) == pytest.approx(50.1)
    assert clock.show_at(StreamKind.VIDEO, 9000 + 9000, 50.15) == pytest.approx(50.2)
    assert clock.offset(StreamKind.VIDEO, 9000, 50.12) == pytest.approx(0.02)


def test_a_late_picture_is_shown_at_once() -> None:
    assert synchronised().show_at(StreamKind.VIDEO, 9000, 50.3) == 50.3


def test_without_reports_or_sound_a_picture_is_shown_at_once() -> None:
    clock = PlayoutClock()
    assert clock.show_at(StreamKind.VIDEO, 9000, 50.0) == 50.0
    clock.sender_reported(StreamKind.VIDEO, 100 * SECOND, 9000)
    assert clock.show_at(StreamKind.VIDEO, 9000, 50.0) == 50.0
    assert clock.offset(StreamKind.VIDEO, 9000, 50.0) is None
    clock.sound_played(5000, 50.0)
    assert clock.show_at(StreamKind.VIDEO, 9000, 49.9) == 49.9


def test_sound_that_fell_silent_holds_up_no_picture() -> None:
    assert synchronised().show_at(StreamKind.VIDEO, 9000 + 90_000 * 2, 51.9) == 51.9


def test_a_report_that_cannot_be_right_holds_up_no_picture() -> None:
    clock = synchronised()
    assert clock.show_at(StreamKind.VIDEO, 9000 + 90_000, 50.15) == 50.15
    assert clock.show_at(StreamKind.VIDEO, 9000, 50.1 - MAX_WAIT + 0.01) == pytest.approx(50.1)


def test_timestamps_may_wrap_between_a_report_and_its_frames() -> None:
    clock = PlayoutClock()
    clock.sender_reported(StreamKind.AUDIO, 100 * SECOND, 0xFFFF_FFFF)
    clock.sender_reported(StreamKind.VIDEO, 100 * SECOND, 0xFFFF_FFFF)
    clock.sound_played(4799, 50.0)
    assert clock.show_at(StreamKind.VIDEO, 17_999, 50.0) == pytest.approx(50.1)


def test_the_screen_has_its_own_timestamps_and_waits_as_well() -> None:
    clock = synchronised()
    assert clock.show_at(StreamKind.SCREEN, 77, 50.0) == 50.0
    clock.sender_reported(StreamKind.SCREEN, 100 * SECOND, 77)
    assert clock.show_at(StreamKind.SCREEN, 77 + 9000, 50.15) == pytest.approx(50.2)
    assert clock.offset(StreamKind.SCREEN, 77, 50.12) == pytest.approx(0.02)
