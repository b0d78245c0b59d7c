"""The log holds numbers and enums, whatever it is given."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from entrenous_signaling import line_writer, logs
from entrenous_signaling.logs import (
    LINES_A_MINUTE,
    LOGGED,
    Event,
    Field,
    LineBound,
    LogEvent,
    LogForm,
    Source,
    TypedFormatter,
    log,
    log_internal_error,
)
from entrenous_signaling.mailbox import DeviceKey, Mailbox

SECRET = "alice@calls.example.org 192.0.2.7 00000000000000aa"
PATIENCE = 60.0


def written(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [TypedFormatter().format(record).partition(" ")[2] for record in caplog.records]


def own_logging(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    """Let what a test configures end with it."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr(logging, "raiseExceptions", True)
    for module, name in ((sys, "excepthook"), (threading, "excepthook"), (sys, "unraisablehook")):
        monkeypatch.setattr(module, name, getattr(module, name))
    return root


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
    mailbox = Mailbox(DeviceKey("alice", "a" * 16), "a@b", None)  # type: ignore[arg-type]  # goes wrong on purpose
    try:
        mailbox.has_room(DeviceKey(SECRET, "b" * 16), 1)
    except AttributeError as error:
        log_internal_error(error)
    log_internal_error(None)
    first, second = written(caplog)
    assert first.startswith("error internal-error source=mailbox line=")
    assert second == "error internal-error source=other"


PUBLISHED = {
    "started": (),
    "draining": ("connections", "seconds"),
    "stopped": ("calls", "seconds"),
    "certificate-reloaded": ("expires",),
    "certificate-unusable": ("expires",),
    "store-failing": (),
    "store-working": (),
    "full": (),
    "bus-connected": (),
    "bus-lost": (),
    "bus-refused": (),
    "clock-differs": ("seconds",),
    "clock-agrees": (),
    "clock-set": ("seconds",),
    "nodes": ("nodes",),
    "slow-reader": (),
    "internal-error": ("source", "line"),
    "lines-lost": ("lines",),
    "foreign": ("source",),
}
"""What the log can hold. An event or field more needs a look at what it tells of whom."""


def test_an_event_or_field_more_is_seen_here() -> None:
    assert {event.value[0]: tuple(field.value for field in fields) for event, fields in LOGGED.items()} == PUBLISHED
    assert {event.value[0] for event in Event} == PUBLISHED.keys()
    assert {field.value for field in Field} == {name for fields in PUBLISHED.values() for name in fields}


@pytest.mark.parametrize(
    ("event", "field", "value"),
    [
        (Event.STARTED, Field.CONNECTIONS, 1),
        (Event.DRAINING, Field.CONNECTIONS, SECRET),
        (Event.DRAINING, Field.SECONDS, 1.5),
        (Event.INTERNAL_ERROR, Field.SOURCE, SECRET),
        (Event.INTERNAL_ERROR, Field.SOURCE, 7),
        (Event.INTERNAL_ERROR, Field.LINE, Source.HUB),
    ],
)
def test_an_event_can_hold_its_own_numbers_and_enums_only(event: Event, field: Field, value: object) -> None:
    with pytest.raises(ValueError, match="no such field") as refused:
        LogEvent(event, {field: value})  # type: ignore[dict-item]  # what mypy refuses is refused here too
    assert "alice" not in str(refused.value)


def test_fields_have_one_order_whatever_they_were_given_in(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log(Event.DRAINING, {Field.SECONDS: 10, Field.CONNECTIONS: 812})
    assert written(caplog) == ["info draining connections=812 seconds=10"]


def test_as_json_a_line_is_an_object_of_the_same(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log(Event.DRAINING, {Field.CONNECTIONS: 812, Field.SECONDS: 10})
    logging.getLogger("aiohttp.server").error(SECRET, exc_info=ValueError(SECRET))
    first, second = (json.loads(TypedFormatter(LogForm.JSON).format(record)) for record in caplog.records)
    assert datetime.fromisoformat(first.pop("time")) <= datetime.fromisoformat(second.pop("time"))
    assert first == {"level": "info", "event": "draining", "connections": 812, "seconds": 10}
    assert second == {"level": "error", "event": "foreign", "source": "aiohttp"}


def test_every_module_of_the_server_can_be_named_where_a_mistake_is() -> None:
    package = Path(logs.__file__).parent
    modules = {
        path.stem for folder in (package, package / "store", package / "cluster") for path in folder.glob("*.py")
    }
    assert {name for name in modules if not name.startswith("__")} <= {source.value for source in Source}


def test_what_strangers_cause_over_and_over_is_written_so_often_a_minute() -> None:
    def passed(event: LogEvent, second: float, times: int) -> int:
        records = [logging.makeLogRecord({"msg": event, "created": second}) for _ in range(times)]
        return sum(bound.filter(record) for record in records)

    bound = LineBound()
    foreign = [LogEvent(Event.FOREIGN, {Field.SOURCE: source}) for source in (Source.AIOHTTP, Source.ASYNCIO)]
    assert passed(foreign[0], 60.0, 2 * LINES_A_MINUTE) == LINES_A_MINUTE
    assert passed(foreign[0], 119.9, 1) == 0
    assert passed(foreign[1], 119.9, 1) == 1
    assert passed(LogEvent(Event.STORE_FAILING, {}), 119.9, 1) == 1
    assert passed(foreign[0], 120.0, 2 * LINES_A_MINUTE) == LINES_A_MINUTE


def test_configured_logging_reduces_everything(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    root = own_logging(monkeypatch)
    monkeypatch.setattr(line_writer, "_LAST_LINES_SECONDS", PATIENCE)
    logs.configure()
    logging.getLogger("aiohttp.access").warning(SECRET)
    log(Event.STOPPED)
    for _ in range(3 * LINES_A_MINUTE):
        log(Event.FULL)
    root.handlers[0].close()
    err = capfd.readouterr().err
    assert "foreign source=aiohttp" in err
    assert "info stopped" in err
    assert err.count("warning full") <= 2 * LINES_A_MINUTE, "a minute may end here, not two"
    assert "alice" not in err


def test_what_nobody_catches_is_told_by_its_place_alone() -> None:
    program = """
import threading
from entrenous_signaling import logs

def fail():
    raise ValueError("alice@example.org")

class Left:
    def __del__(self):
        fail()

logs.configure()
thread = threading.Thread(target=fail)
thread.start()
thread.join()
Left()
fail()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    told = [line.partition(" ")[2] for line in done.stderr.splitlines()]
    assert (done.returncode, done.stdout, told) == (1, "", 3 * ["error internal-error source=other"])


def test_lines_that_are_lost_are_told_in_the_form_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[logging.LogRecord] = []

    def writer(descriptor: int, lost: Callable[[int], logging.LogRecord]) -> logging.Handler:
        told.append(lost(7))
        return logging.NullHandler()

    monkeypatch.setattr(logs, "LineWriter", writer)
    own_logging(monkeypatch)
    logs.configure()
    assert TypedFormatter().format(told[0]).endswith("Z warning lines-lost lines=7")


def test_without_standard_error_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    root = own_logging(monkeypatch)
    monkeypatch.setattr(sys, "stderr", None)
    logs.configure()
    log(Event.STARTED)
    assert [type(handler) for handler in root.handlers] == [logging.NullHandler]
