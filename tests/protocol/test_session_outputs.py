"""What a session tells is a value: the shell may keep and compare it."""

from __future__ import annotations

from typing import get_args

from entrenous.protocol.session_outputs import SendFailed, SessionOutput
from entrenous_wire.messages import ErrorCode


def test_every_output_is_frozen() -> None:
    for kind in get_args(SessionOutput):
        assert kind.__dataclass_params__.frozen, kind


def test_outputs_compare_by_content() -> None:
    one = SendFailed(b"m" * 16, ErrorCode.OFFLINE, "Not there.")
    assert one == SendFailed(b"m" * 16, ErrorCode.OFFLINE, "Not there.")
