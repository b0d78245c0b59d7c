"""Call records, printed and exported."""

from __future__ import annotations

import json
import os
import pwd
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenous_signaling.cli import records
from entrenous_signaling.store.database import Databases, migrate
from world.operator import run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    migrate(Databases(tmp_path))
    with sqlite3.connect(tmp_path / "usage.sqlite3") as database:
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


def test_records_of_a_range_of_time_are_chosen(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ("calls", "--data", data, "--csv")
    for options, kept in (
        (("--from", "2025-11-21T18:33:20Z"), ["5", "62"]),
        (("--from", "2025-11-21T18:33:21Z"), ["62"]),
        (("--to", "2025-11-21T19:02:07Z"), ["5"]),
        (("--from", "2025-11-22"), []),
        (("--from", "2025-11-21", "--to", "2025-11-22"), ["5", "62"]),
    ):
        code, out, _ = run(capsys, *place, *options)
        assert (code, [line.rpartition(",")[2] for line in out.splitlines()[1:]]) == (0, kept), options
    code, _, err = run(capsys, *place, "--from", "yesterday")
    assert (code, "is no moment" in err) == (2, True)
    code, _, err = run(capsys, *place, "--from", "2025-11-22", "--to", "2025-11-21")
    assert (code, "--from has to be before --to" in err) == (2, True)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("a.csv", b"start,duration"),
        ("a.JSONL", b'{"start": '),
        ("a.parquet", b"PAR1"),
        ("a.txt", b"start (UTC)"),
        ("csv", b"start (UTC)"),
    ],
)
def test_a_file_is_written_as_its_name_says(
    name: str, first: bytes, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    assert run(capsys, "calls", "--data", data, "--out", tmp_path / name)[0] == 0
    assert (tmp_path / name).read_bytes().startswith(first)
    assert run(capsys, "calls", "--data", data, "--csv", "--out", tmp_path / name)[0] == 0
    assert (tmp_path / name).read_bytes().startswith(b"start,duration"), "what is said counts more"


def test_records_are_written_to_a_private_file(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "calls.json"
    code, said, _ = run(capsys, "calls", "--data", data, "--format", "json", "--out", out)
    assert (code, said) == (0, f"{out} is written, and only you may read it.\n")
    assert len(out.read_text().splitlines()) == 2
    code, _, err = run(capsys, "calls", "--data", data, "--format", "parquet")
    assert (code, err) == (1, "Error: Parquet is for files: name one with --out.\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as somebody else")
def test_root_opens_the_records_as_who_runs_the_server(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = pwd.getpwnam("daemon")
    os.chown(data, owner.pw_uid, owner.pw_gid)

    def who_reads(*_: object) -> Iterator[tuple[int, int]]:
        yield 0, os.geteuid()

    monkeypatch.setattr(records, "read_records", who_reads)
    out = data.parent / "calls.csv"
    code, _, _ = run(capsys, "calls", "--data", data, "--csv", "--out", out)
    assert (code, out.read_text().splitlines()[1:]) == (0, [f"1970-01-01T00:00:00Z,{owner.pw_uid}"])
    assert out.stat().st_uid == 0, "it is for who has asked"
