"""What a check says."""

from __future__ import annotations

from entrenous_signaling.checks.findings import Finding, Level, error, ok, warning


def test_only_what_is_not_in_order_has_a_next_step() -> None:
    assert ok("data", "It is there.") == Finding(Level.OK, "data", "It is there.", "")
    assert warning("data", "It is small.", "Make room.").level is Level.WARNING
    assert error("data", "It is gone.", "Restore it.").next_step == "Restore it."
