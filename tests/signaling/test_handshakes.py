"""How many handshakes go on at a time, who waits for how long, and who gives way."""

from __future__ import annotations

from entrenous_signaling.handshakes import PATIENCE_SECONDS, Handshakes

SECONDS = 5.0


def speaking(handshakes: Handshakes[str], *names: str, now: float) -> None:
    """Connections that speak as soon as they have come."""
    for name in names:
        handshakes.come(name, now)
        handshakes.speak(name, now)


def test_so_many_go_on_at_a_time_and_the_others_in_their_order() -> None:
    handshakes: Handshakes[str] = Handshakes(2, SECONDS)
    assert handshakes.begin(0.0) is None
    speaking(handshakes, "a", "b", "c", "d", now=0.0)
    assert [handshakes.begin(0.1) for _ in range(3)] == ["a", "b", None]
    handshakes.end("b")
    assert [handshakes.begin(0.2) for _ in range(2)] == ["c", None]
    assert set(handshakes.everybody) == {"a", "c", "d"}


def test_who_is_silent_takes_nobody_s_place_and_is_cut_off_in_time() -> None:
    handshakes: Handshakes[str] = Handshakes(1, SECONDS)
    handshakes.come("mute", 0.0)
    handshakes.come("late", 1.0)
    speaking(handshakes, "a", now=2.0)
    assert handshakes.begin(2.0) == "a"
    assert handshakes.next_deadline() == SECONDS
    assert handshakes.overdue(SECONDS - 0.1) == []
    assert handshakes.overdue(SECONDS) == ["mute"]
    handshakes.end("mute")
    handshakes.speak("late", 3.0)
    assert "late" in handshakes.everybody
    handshakes.end("a")
    assert handshakes.begin(4.0) == "late"


def test_who_waits_for_a_place_is_cut_off_in_time() -> None:
    handshakes: Handshakes[str] = Handshakes(1, SECONDS)
    for name in "ab":
        speaking(handshakes, name, now=0.0)
    assert handshakes.begin(4.5) == "a"
    assert handshakes.next_deadline() == SECONDS
    assert handshakes.overdue(SECONDS) == ["b"]


def test_when_all_places_are_taken_the_oldest_gives_way_to_each_who_waits() -> None:
    handshakes: Handshakes[str] = Handshakes(3, SECONDS)
    for number, name in enumerate("abc"):
        speaking(handshakes, name, now=0.1 * number)
        assert handshakes.begin(0.1 * number) == name
    assert handshakes.next_deadline() is None
    assert handshakes.overdue(3600.0) == [], "nobody waits"
    speaking(handshakes, "d", now=0.3)
    assert handshakes.next_deadline() == PATIENCE_SECONDS
    assert handshakes.overdue(PATIENCE_SECONDS - 0.01) == []
    assert handshakes.overdue(PATIENCE_SECONDS + 0.5) == ["a"], "one is enough"
    handshakes.end("a")
    assert handshakes.overdue(PATIENCE_SECONDS + 0.5) == [], "there is a place"
    assert handshakes.begin(PATIENCE_SECONDS + 0.5) == "d"
    speaking(handshakes, "e", "f", now=PATIENCE_SECONDS + 0.5)
    assert handshakes.overdue(PATIENCE_SECONDS + 0.5) == ["b", "c"]
