"""Events may be logged: they show no address and no message."""

from __future__ import annotations

from entrenous.media.events import CandidateGathered, Data


def test_an_address_is_not_shown() -> None:
    shown = repr(CandidateGathered("1 1 udp 1 192.0.2.7 5000 typ host"))
    assert "192.0.2.7" not in shown
    assert repr(CandidateGathered(None)) != shown


def test_a_message_is_not_shown() -> None:
    assert repr(Data(b"secret")) == "Data(6 bytes)"
