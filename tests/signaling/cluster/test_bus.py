"""Subjects: one for all nodes, one for each start of a node, and nothing in them that tells of anybody."""

from __future__ import annotations

from entrenous_signaling.cluster.bus import subject_of


def test_a_subject_is_a_prefix_and_a_random_number_or_all() -> None:
    assert subject_of("entrenous", None) == "entrenous.all"
    assert subject_of("calls", bytes(range(8))) == "calls.0001020304050607"
