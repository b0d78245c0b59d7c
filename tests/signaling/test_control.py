"""Asking the running server over its control socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from entrenous_signaling.control import ControlError, NoServerError, ask, exchange
from entrenous_signaling.control_messages import (
    AccountRemoved,
    BeginDrain,
    CertificateReloaded,
    DrainBegun,
    GetStatus,
    ReloadCertificate,
    RemoveAccountNow,
    Status,
)
from world.operator import STATUS, answering


def test_a_command_is_one_line_and_so_is_its_answer(tmp_path: Path) -> None:
    with answering(tmp_path / "control.sock", STATUS) as asked:
        assert ask(tmp_path / "control.sock", GetStatus(), Status) == Status(**STATUS)
    assert asked == [{"command": "status"}]
    (tmp_path / "control.sock").unlink()
    with answering(tmp_path / "control.sock", b'{"sessions": 3}\n{"sessions": 4}\n') as asked:
        assert exchange(tmp_path / "control.sock", b'{"command": "halt"}') == b'{"sessions": 3}\n'
    assert asked == [{"command": "halt"}]


def test_no_server_is_told_apart_from_one_that_refuses(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with pytest.raises(NoServerError, match="No server is running"):
        ask(path, GetStatus(), Status)
    with answering(path, b'{"error": "There is no such account."}\n'), pytest.raises(ControlError) as refused:
        ask(path, RemoveAccountNow("nobody"), AccountRemoved)
    assert (str(refused.value), type(refused.value)) == ("There is no such account.", ControlError)
    with pytest.raises(NoServerError):  # the socket of a server that was killed
        ask(path, GetStatus(), Status)


def test_each_request_has_its_answer(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with answering(path, {"devices": 2, "prekeys": 6, "messages": 1, "sessions": 1}) as asked:
        assert ask(path, RemoveAccountNow("alice"), AccountRemoved) == AccountRemoved(2, 6, 1, 1)
    assert asked == [{"command": "remove-account", "username": "alice"}]
    path.unlink()
    with answering(path, {"connections": 3, "seconds": 10}) as asked:
        assert ask(path, BeginDrain(), DrainBegun) == DrainBegun(3, 10.0)
    assert asked == [{"command": "drain"}]
    path.unlink()
    with answering(path, {"certificate_expires": 7}) as asked:
        assert ask(path, ReloadCertificate(), CertificateReloaded) == CertificateReloaded(7)
    assert asked == [{"command": "reload"}]


@pytest.mark.parametrize("answer", [{}, {"sessions": 3}, STATUS | {"uptime": "a day"}, STATUS | {"draining": None}])
def test_a_server_of_another_version_is_said(answer: dict[str, Any], tmp_path: Path) -> None:
    with answering(tmp_path / "control.sock", answer), pytest.raises(ControlError, match="another version"):
        ask(tmp_path / "control.sock", GetStatus(), Status)


def test_a_newer_server_that_says_more_is_understood(tmp_path: Path) -> None:
    with answering(tmp_path / "control.sock", STATUS | {"moons": 4}):
        assert ask(tmp_path / "control.sock", GetStatus(), Status) == Status(**STATUS)
    (tmp_path / "control.sock").unlink()
    refusal = {"error": "Not on a Sunday.", "code": "sunday"}
    with answering(tmp_path / "control.sock", refusal), pytest.raises(ControlError, match="Not on a Sunday"):
        ask(tmp_path / "control.sock", GetStatus(), Status)


@pytest.mark.parametrize("answer", [b"", b"hello\n", b"[1]\n", b"\xff\n", b"[" * 5000 + b"\n"])
def test_what_is_no_server_of_ours_is_said(answer: bytes, tmp_path: Path) -> None:
    with answering(tmp_path / "control.sock", answer), pytest.raises(ControlError, match="no signaling server"):
        ask(tmp_path / "control.sock", GetStatus(), Status)


def test_a_server_that_does_not_answer_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with answering(tmp_path / "control.sock", None), pytest.raises(ControlError, match="does not answer"):
        ask(tmp_path / "control.sock", GetStatus(), Status, timeout=0.05)


def test_a_path_that_is_too_long_for_a_socket_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="cannot be asked"):
        ask(tmp_path / ("long" * 50), GetStatus(), Status)
