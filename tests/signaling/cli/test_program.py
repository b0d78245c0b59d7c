"""The command line as a whole: help that teaches, and exit codes."""

from __future__ import annotations

import pytest

from world.operator import run


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["serve", "--help"],
        ["calls", "--help"],
        ["init", "-h"],
        ["check", "-h"],
        ["status", "-h"],
        ["users", "-h"],
        ["users", "remove", "-h"],
        ["invite", "-h"],
        ["turn-config", "-h"],
        ["turn-secret", "-h"],
    ],
)
def test_help_is_there(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert out.startswith("Usage: entrenous-signaling")


def test_a_wrong_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "serve", "--registration", "maybe")[0] == 2
    assert run(capsys, "serve", "--no-such-option")[0] == 2
