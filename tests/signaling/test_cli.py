"""The command line: records, invites, and help that teaches."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from entrenous_signaling.auth import hash_invite
from entrenous_signaling.cli import main
from entrenous_signaling.store.database import Databases, migrate


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.fixture
def data(tmp_path: Path) -> Path:
    usage = Databases(tmp_path).usage
    migrate(usage)
    with sqlite3.connect(usage) as database:
        database.executemany("INSERT INTO call_record VALUES (?, ?)", [(1763751727, 62), (1763750000, 5)])
    return tmp_path


def test_records_are_printed_as_a_table(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "calls", "--data", str(data))
    assert code == 0
    assert out.splitlines() == [
        "start (UTC)           duration (s)",
        "2025-11-21T18:33:20Z             5",
        "2025-11-21T19:02:07Z            62",
    ]


def test_records_are_printed_for_scripts(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "calls", "--data", str(data), "--json")
    assert [json.loads(line) for line in out.splitlines()] == [
        {"start": "2025-11-21T18:33:20Z", "duration": 5},
        {"start": "2025-11-21T19:02:07Z", "duration": 62},
    ]
    _, out, _ = run(capsys, "calls", "--data", str(data), "--csv")
    assert out.splitlines() == ["start,duration", "2025-11-21T18:33:20Z,5", "2025-11-21T19:02:07Z,62"]


def test_records_of_a_directory_without_any_are_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "calls", "--data", str(tmp_path / "nowhere"))
    assert (code, out) == (1, "")
    assert err.startswith("Error: There is no ")


def test_invites_are_minted_and_only_their_hashes_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "invite", "--data", str(tmp_path), "--count", "3")
    codes = out.split()
    assert code == 0
    assert len(set(codes)) == 3
    with sqlite3.connect(Databases(tmp_path).accounts) as database:
        kept = {row[0] for row in database.execute("SELECT hash FROM invite")}
    assert kept == {hash_invite(text) for text in codes}


def test_invites_for_a_directory_that_is_not_there_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "invite", "--data", str(tmp_path / "nowhere"))
    assert (code, err.startswith("Error: There is no directory")) == (1, True)


@pytest.mark.parametrize("words", [["--help"], ["serve", "--help"], ["calls", "--help"], ["invite", "-h"]])
def test_help_is_there(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert out.startswith("Usage: entrenous-signaling")


def test_a_wrong_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "serve", "--registration", "maybe")[0] == 2
    assert run(capsys, "serve", "--no-such-option")[0] == 2
