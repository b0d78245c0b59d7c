"""Invite codes."""

from __future__ import annotations

import json
import os
import pwd
import sqlite3
import tempfile
from pathlib import Path

import pytest

from entrenous_signaling.auth import hash_invite
from world.operator import run


def test_invites_are_minted_and_only_their_hashes_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "invite", "--data", str(tmp_path), "--count", "3")
    codes = out.split()
    assert code == 0
    assert len(set(codes)) == 3
    with sqlite3.connect(tmp_path / "accounts.sqlite3") as database:
        kept = {row[0] for row in database.execute("SELECT hash FROM invite")}
    assert kept == {hash_invite(text) for text in codes}
    _, out, _ = run(capsys, "invite", "--data", str(tmp_path), "--count", "2", "--json")
    assert [len(code) for code in json.loads(out)["codes"]] == [20, 20]


@pytest.mark.parametrize(("policy", "words"), [("open", "anybody"), ("invite", ""), ("closed", "nobody may")])
def test_who_mints_codes_that_nobody_is_asked_for_is_told(
    policy: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "server.toml"
    file.write_text(f'registration = "{policy}"\ndata = "{tmp_path}"\n')
    code, out, err = run(capsys, "invite", "--config", file)
    assert (code, len(out.split())) == (0, 1)
    assert bool(err) is (policy != "invite")
    assert words in err
    assert run(capsys, "invite", "--data", tmp_path)[2] == "", "nobody has said who may register"


def test_invites_for_a_directory_that_is_not_there_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "invite", "--data", str(tmp_path / "nowhere"))
    assert (code, err.startswith("Error: There is no directory")) == (1, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask for somebody else")
def test_root_makes_no_database_that_the_server_cannot_write(capsys: pytest.CaptureFixture[str]) -> None:
    owner = pwd.getpwnam("daemon")
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are behind a door that is closed to others
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        assert run(capsys, "invite", "--data", folder)[0] == 0
        assert {path.stat().st_uid for path in Path(folder).iterdir()} == {owner.pw_uid}
    assert (os.geteuid(), os.getegid()) == (0, 0)
