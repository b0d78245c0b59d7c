"""Every error that is a sentence for the operator ends a command with that sentence and its code."""

from __future__ import annotations

import pytest

from entrenous_signaling.call_export import ExportError
from entrenous_signaling.cli import program
from entrenous_signaling.config import ConfigError
from entrenous_signaling.control import ControlError, NoServerError
from entrenous_signaling.listeners import ServeError
from entrenous_signaling.operator_errors import OperatorError
from entrenous_signaling.store.backend import StoreError
from entrenous_signaling.turn_files import FileDiffersError
from world.operator import run


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ConfigError, 2),
        (ControlError, 1),
        (NoServerError, 1),
        (ExportError, 1),
        (FileDiffersError, 1),
        (ServeError, 1),
        (StoreError, 1),
    ],
)
def test_it_is_said_without_a_traceback(
    kind: type[OperatorError], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**options: object) -> None:
        raise kind("The disk is full: make room.")

    monkeypatch.setattr(program.commands, "main", fail)
    assert run(capsys, "status") == (code, "", "Error: The disk is full: make room.\n")
