"""What the play-out counts, and what is said of a packet."""

from __future__ import annotations

import pytest

from entrenous.media.playout_steps import Packet, PlayoutCounters


def test_the_transit_of_a_packet_is_its_arrival_without_its_media_time() -> None:
    assert Packet(10, b"", 1, fec=False, timestamp=9600, at=1.25).transit == pytest.approx(1.05)


def test_the_concealed_share_is_of_what_was_heard_but_for_comfort_noise() -> None:
    assert PlayoutCounters().concealed_share == 0.0
    assert PlayoutCounters(played=80, recovered=10, concealed=10, comfort=500).concealed_share == 0.1
