"""Nobody waits for who reads the log."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Callable

import pytest

from entrenous_signaling import line_writer
from entrenous_signaling.line_writer import LineWriter

PATIENCE = 60.0


def lines_lost(lines: int) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": f"lost={lines}"})


@pytest.fixture
def pipe() -> tuple[int, int]:
    """The ends of a pipe that takes some hundred lines."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    return reader, writer


def in_time(work: Callable[[], None]) -> bool:
    """Whether something comes to its end, although nobody reads."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return not thread.is_alive()


def test_nobody_waits_for_who_reads_the_log_and_what_is_missing_in_it_is_told(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = pipe
    monkeypatch.setattr(line_writer, "WAITING_LINES", 10)
    monkeypatch.setattr(line_writer, "_LAST_LINES_SECONDS", PATIENCE)
    handler = LineWriter(writer, lines_lost)

    def log_much() -> None:
        for _ in range(1000):
            handler.handle(logging.makeLogRecord({"msg": "line"}))

    assert in_time(log_much)
    found: list[str] = []

    def read() -> None:
        with os.fdopen(reader) as lines:
            found.extend(lines)

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    assert in_time(handler.close)
    os.close(writer)
    reading.join(PATIENCE)
    told = [int(line.partition("=")[2]) for line in found if line.startswith("lost=")]
    assert told
    assert found.count("line\n") + sum(told) == 1000
    assert len(found) == found.count("line\n") + len(told) < 200


def test_the_end_does_not_wait_for_who_reads_the_log(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = pipe
    monkeypatch.setattr(line_writer, "WAITING_LINES", 10)
    monkeypatch.setattr(line_writer, "_LAST_LINES_SECONDS", 0.01)
    handler = LineWriter(writer, lines_lost)
    for _ in range(1000):
        handler.handle(logging.makeLogRecord({"msg": "line"}))
    assert in_time(handler.close)
    os.close(reader)  # from now on it can be written to, in vain
    monkeypatch.setattr(line_writer, "_LAST_LINES_SECONDS", PATIENCE)
    assert in_time(handler.close)
    os.close(writer)
