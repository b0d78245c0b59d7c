"""The log holds numbers and enums, whatever it is given."""

from __future__ import annotations

import dataclasses
import logging
import typing

import pytest

from entrenous_signaling import logs
from entrenous_signaling.logs import Event, LogEvent, Source, TypedFormatter, log, log_internal_error
from entrenous_signaling.mailbox import DeviceKey, Mailbox

SECRET = "alice@calls.example.org 192.0.2.7 00000000000000aa"


def written(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [TypedFormatter().format(record).partition(" ")[2] for record in caplog.records]


def test_events_are_written_with_their_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log(Event.STARTED)
    log(Event.STORE_FAILING)
    assert written(caplog) == ["info started", "warning store-failing"]


def test_of_what_libraries_log_only_the_library_is_left(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("aiohttp.server").error("Error handling request from %s", SECRET, exc_info=ValueError(SECRET))
    logging.getLogger("some.other").warning(SECRET)
    assert written(caplog) == ["error foreign source=aiohttp", "warning foreign source=other"]


def test_of_an_error_inside_the_place_is_left(caplog: pytest.LogCaptureFixture) -> None:
    mailbox = Mailbox(DeviceKey("alice", "a" * 16), None)  # type: ignore[arg-type]  # goes wrong on purpose
    try:
        mailbox.has_room(DeviceKey(SECRET, "b" * 16), 1)
    except AttributeError as error:
        log_internal_error(error)
    log_internal_error(None)
    first, second = written(caplog)
    assert first.startswith("error internal-error source=mailbox line=")
    assert second == "error internal-error source=other"


def test_an_event_can_hold_numbers_and_enums_only() -> None:
    kinds = typing.get_type_hints(LogEvent)
    assert {field.name for field in dataclasses.fields(LogEvent)} == set(kinds) == {"event", "source", "line"}
    assert kinds == {"event": Event, "source": Source | None, "line": int | None}


def test_configured_logging_reduces_everything(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr(logging, "raiseExceptions", True)
    logs.configure()
    logging.getLogger("aiohttp.access").warning(SECRET)
    log(Event.STOPPED)
    err = capsys.readouterr().err
    assert "foreign source=aiohttp" in err
    assert "info stopped" in err
    assert "alice" not in err
