"""Asking the running server over its control socket."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrenous_signaling.control import ControlError, NoServerError, ask
from world.operator import answering


def test_a_command_is_one_line_and_so_is_its_answer(tmp_path: Path) -> None:
    with answering(tmp_path / "control.sock", b'{"sessions": 3}\n') as asked:
        assert ask(tmp_path / "control.sock", {"command": "status"}) == {"sessions": 3}
    assert asked == [{"command": "status"}]


def test_no_server_is_told_apart_from_one_that_refuses(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with pytest.raises(NoServerError, match="No server is running"):
        ask(path, {"command": "status"})
    with answering(path, b'{"error": "There is no such account."}\n'), pytest.raises(ControlError) as refused:
        ask(path, {"command": "remove-account", "username": "nobody"})
    assert (str(refused.value), type(refused.value)) == ("There is no such account.", ControlError)
    with pytest.raises(NoServerError):  # the socket of a server that was killed
        ask(path, {"command": "status"})


@pytest.mark.parametrize("answer", [b"", b"hello\n", b"[1]\n"])
def test_what_is_no_server_of_ours_is_said(answer: bytes, tmp_path: Path) -> None:
    with answering(tmp_path / "control.sock", answer), pytest.raises(ControlError, match="no signaling server"):
        ask(tmp_path / "control.sock", {"command": "status"})


def test_a_server_that_does_not_answer_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with answering(tmp_path / "control.sock", None), pytest.raises(ControlError, match="does not answer"):
        ask(tmp_path / "control.sock", {"command": "status"}, timeout=0.05)


def test_a_path_that_is_too_long_for_a_socket_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="cannot be asked"):
        ask(tmp_path / ("long" * 50), {"command": "status"})
