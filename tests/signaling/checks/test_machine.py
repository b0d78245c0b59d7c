"""Data directory, disk, clock and limits."""

from __future__ import annotations

import ctypes
import resource
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from entrenous_signaling.checks.findings import Level
from entrenous_signaling.checks.machine import check_clock, check_data, check_open_files
from entrenous_signaling.config import ServerConfig


def test_a_private_directory_is_in_order_and_one_that_is_not_there_is_made(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert [finding.level for finding in check_data(tmp_path)] == [Level.OK, Level.OK]
    made, room = check_data(tmp_path / "a" / "b")
    assert (made.level, "is made at the first start" in made.text, str(tmp_path) in room.text) == (Level.OK, True, True)
    assert list(tmp_path.iterdir()) == []
    tmp_path.chmod(0o750)
    assert next(check_data(tmp_path)).next_step == f"chmod 700 {tmp_path}"


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (finding,) = check_data(tmp_path / "file" / "data")
    assert (finding.level, "is no directory" in finding.text) == (Level.ERROR, True)
    (finding,) = check_data(Path("/proc/1"))  # where even root makes no files
    assert (finding.level, "cannot be written" in finding.text) == (Level.ERROR, True)


@pytest.mark.parametrize(("free", "level"), [(10**8, Level.ERROR), (5 * 10**8, Level.WARNING), (2 * 10**9, Level.OK)])
def test_a_disk_without_room_is_told(free: int, level: Level, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    *_, room = check_data(tmp_path)
    assert (room.subject, room.level) == ("disk", level)


@pytest.mark.parametrize(("state", "level"), [(0, Level.OK), (5, Level.WARNING), (-1, Level.OK)])
def test_a_clock_that_nobody_keeps_is_a_warning(state: int, level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(adjtimex=lambda _: state))
    assert check_clock(time.time()).level is level


def test_the_kernel_can_be_asked_about_the_clock() -> None:
    assert check_clock(time.time()).level in (Level.OK, Level.WARNING)
    assert check_clock(0.0).level is Level.ERROR


@pytest.mark.parametrize(
    ("hard", "level"), [(11_200, Level.OK), (11_199, Level.WARNING), (resource.RLIM_INFINITY, Level.OK)]
)
def test_connections_need_open_files(hard: int, level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, hard))
    assert check_open_files(ServerConfig(max_connections=10_000)).level is level
