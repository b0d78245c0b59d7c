"""Settings keep secrets out of sight."""

from __future__ import annotations

from entrenous.media.settings import IceServer, MediaSettings


def test_a_password_is_not_shown() -> None:
    assert "hunter2" not in repr(IceServer("turn:a.example", "user", "hunter2"))


def test_reports_come_often_enough_to_tell_silence_from_a_stall() -> None:
    settings = MediaSettings()
    assert 2 * settings.rtcp_interval < settings.suspect_after < settings.stalled_after
