"""The database as `check` sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrenous_signaling.checks import database
from entrenous_signaling.checks.database import check_database, check_database_clock, check_database_log
from entrenous_signaling.checks.findings import Level
from entrenous_signaling.config import ServerConfig
from entrenous_signaling.store.condition import Condition


@pytest.mark.parametrize("state", list(Condition))
def test_every_condition_is_a_sentence(state: Condition, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "condition", lambda _: state)
    finding = check_database(ServerConfig())
    assert (finding.level is Level.ERROR) == (state is Condition.NEWER) == bool(finding.next_step)


def test_a_database_that_cannot_be_had_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "accounts.sqlite3").write_bytes(b"no database" * 100)
    assert check_database(ServerConfig(data=str(tmp_path))).level is Level.ERROR
    config = ServerConfig(database="postgresql://me@127.0.0.1/calls", database_password_file=str(tmp_path / "none"))
    finding = check_database(config)
    assert (finding.level, "none cannot be read" in finding.text) == (Level.ERROR, True)


def test_of_the_databases_own_log_is_told_what_has_to_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    config = ServerConfig(database="postgresql://me@127.0.0.1/calls")
    found = [("log_error_verbosity", "terse"), ("log_statement", "none")]
    monkeypatch.setattr(database, "indiscretions", lambda _: found)
    (finding,) = check_database_log(config)
    assert finding.level is Level.WARNING
    assert "log_error_verbosity, log_statement" in finding.text
    assert (
        "ALTER SYSTEM SET log_error_verbosity = 'terse'; ALTER SYSTEM SET log_statement = 'none';" in finding.next_step
    )
    found.clear()
    (finding,) = check_database_log(config)
    assert finding.level is Level.OK


@pytest.mark.parametrize(("ahead", "level"), [(30, Level.OK), (31, Level.ERROR), (-30, Level.OK), (-31, Level.ERROR)])
def test_the_clock_that_servers_have_in_common_is_compared(
    ahead: int, level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ServerConfig(database="postgresql://me@127.0.0.1/calls")
    monkeypatch.setattr(database, "clock", lambda _: 1000.0)
    (finding,) = check_database_clock(config, lambda: 1000.0 + ahead)
    assert finding.level is level
    if level is Level.ERROR:
        assert f"31 seconds {'ahead of' if ahead > 0 else 'behind'} the database's" in finding.text


def test_sqlite_has_no_clock_and_a_database_that_is_away_was_told_already(tmp_path: Path) -> None:
    assert list(check_database_clock(ServerConfig(data=str(tmp_path)), lambda: 0.0)) == []
    away = ServerConfig(database="postgresql://me@127.0.0.1:1/calls", data=str(tmp_path))
    assert list(check_database_clock(away, lambda: 0.0)) == []


def test_sqlite_has_no_log_and_a_database_that_is_away_was_told_already(tmp_path: Path) -> None:
    assert list(check_database_log(ServerConfig(data=str(tmp_path)))) == []
    away = ServerConfig(database="postgresql://me@127.0.0.1:1/calls", data=str(tmp_path))
    assert list(check_database_log(away)) == []
