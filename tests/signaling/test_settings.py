"""The hub's settings."""

from __future__ import annotations

from entrenous_signaling.settings import HubSettings
from entrenous_signaling.turn import Relay
from entrenous_wire import limits


def test_the_defaults_are_those_of_the_protocol() -> None:
    settings = HubSettings(name="calls.example.org", message_key=bytes(32))
    assert settings.login_seconds == limits.LOGIN_SECONDS
    assert settings.grace_seconds == limits.SESSION_GRACE_SECONDS


def test_the_relays_secret_is_not_shown() -> None:
    settings = HubSettings(name="calls.example.org", message_key=bytes(32), relay=Relay(("turn:r:1",), b"hush"))
    assert "hush" not in repr(settings)
