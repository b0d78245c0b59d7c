"""How many handshakes go on at a time, and who gives way."""

from __future__ import annotations

import pytest

from entrenous_signaling.handshakes import PATIENCE_SECONDS, Handshakes


def test_so_many_go_on_at_a_time_and_no_more() -> None:
    handshakes: Handshakes[str] = Handshakes(2)
    handshakes.begin("a", 0.0)
    assert not handshakes.are_full
    handshakes.begin("b", 0.5)
    assert handshakes.are_full
    with pytest.raises(RuntimeError):
        handshakes.begin("c", 0.6)
    assert handshakes.under_way == ("a", "b")
    handshakes.end("a")
    assert not handshakes.are_full
    handshakes.begin("c", 0.7)
    assert handshakes.under_way == ("b", "c")


def test_when_all_places_are_taken_the_oldest_gives_way_after_its_time() -> None:
    handshakes: Handshakes[str] = Handshakes(2)
    handshakes.begin("a", 0.0)
    assert handshakes.next_deadline() is None
    assert handshakes.gives_way(3600.0) is None, "there is a place"
    handshakes.begin("b", 0.5)
    assert handshakes.next_deadline() == PATIENCE_SECONDS
    assert handshakes.gives_way(PATIENCE_SECONDS - 0.1) is None
    assert handshakes.gives_way(PATIENCE_SECONDS) == "a"
    handshakes.end("a")
    assert handshakes.next_deadline() is None
    handshakes.begin("c", 2.0)
    assert handshakes.next_deadline() == 0.5 + PATIENCE_SECONDS
    assert handshakes.gives_way(2.0) == "b"
    handshakes.end("b")
    handshakes.begin("d", 2.5)
    assert handshakes.gives_way(2.5) is None
    assert handshakes.next_deadline() == 2.0 + PATIENCE_SECONDS
