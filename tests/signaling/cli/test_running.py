"""`status`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from world.operator import STATUS, answering, run


def test_the_numbers_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(tmp_path / "control.sock", STATUS) as asked:
        code, said, _ = run(capsys, "status", "--data", tmp_path)
    assert (code, asked) == (0, [{"command": "status"}])
    assert said.splitlines() == [
        "state            running",
        "running for      1 day, 2:03:04",
        "connections      1,180",
        "sessions         1,200",
        "open calls       7",
        "accounts         1",
        "stored messages  0",
        "certificate      good until 2025-11-21T19:02:07Z",
    ]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("degraded", "cannot store anything"),
        ("draining", "sending its nodes away"),
        ("cut_off", "cut off from the other nodes"),
        ("clock_differs", "its clock is not that of the other nodes"),
        ("clock_set_by", "its machine's clock was set since its start"),
    ],
)
def test_what_is_not_as_usual_stands_first(
    state: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(tmp_path / "control.sock", STATUS | {state: type(STATUS[state])(1), "certificate_expires": None}):
        _, said, _ = run(capsys, "status", "--data", tmp_path)
    assert words in said.splitlines()[0]
    assert "certificate" not in said


def test_programs_get_what_the_server_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(tmp_path / "control.sock", STATUS):
        _, said, _ = run(capsys, "status", "--data", tmp_path, "--json")
    assert json.loads(said) == STATUS


def test_no_server_is_a_clear_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "status", "--data", tmp_path)
    assert (code, out) == (1, "")
    assert err == f"Error: No server is running: nobody answers at {tmp_path}/control.sock.\n"


def test_one_of_several_says_how_many_others_it_hears(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(tmp_path / "control.sock", STATUS | {"nodes": 2}):
        _, said, _ = run(capsys, "status", "--data", tmp_path)
    assert "other nodes      2" in said.splitlines()


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (0.4, "that of the database, to the second"),
        (-29.6, "30 s behind the database's"),
        (3605.0, "3,605 s ahead of the database's"),
    ],
)
def test_one_of_several_says_what_its_clock_shows(
    ahead: float, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(tmp_path / "control.sock", STATUS | {"nodes": 2, "clock_ahead": ahead}):
        _, said, _ = run(capsys, "status", "--data", tmp_path)
    assert f"clock            {words}" in said.splitlines()


def test_a_server_of_another_version_is_a_clear_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    older = {name: value for name, value in STATUS.items() if name != "draining"}
    with answering(tmp_path / "control.sock", older):
        code, out, err = run(capsys, "status", "--data", tmp_path)
    assert (code, out, "another version" in err, err.count("\n")) == (1, "", True, 1)
