"""Runs the command line of the server in the tests' own process, and stands in for a server that it asks."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from entrenous_signaling.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run a command; returns its exit code and what it wrote to standard output and standard error."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


STATUS: dict[str, Any] = {
    "sessions": 1200,
    "connections": 1180,
    "open_calls": 7,
    "accounts": 1,
    "devices": None,
    "stored_messages": 0,
    "uptime": 93784,
    "degraded": False,
    "draining": False,
    "nodes": None,
    "cut_off": False,
    "clock_ahead": None,
    "clock_differs": False,
    "clock_set_by": 0,
    "certificate_expires": 1763751727,
}
"""What a server answers to `status`."""


@contextmanager
def answering(path: Path, answer: dict[str, Any] | bytes | None) -> Iterator[list[dict[str, Any]]]:
    """A control socket that takes one command; yields what was asked.

    Args:
        path: of the socket, where nothing is yet.
        answer: an object, or bytes that need not be one; None to say nothing as long as it is asked.
    """
    asked: list[dict[str, Any]] = []
    over = threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as reader:
                asked.append(json.loads(reader.readline()))
                if answer is None:
                    over.wait()
                else:
                    connection.sendall(answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield asked
        over.set()
        thread.join(60.0)
