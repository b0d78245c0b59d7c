"""Which configuration a command means."""

from __future__ import annotations

import os
import pwd
import tempfile
from pathlib import Path

import pytest

from entrenous_signaling.cli import common
from entrenous_signaling.cli.common import acting_as_owner, configured
from entrenous_signaling.config import ConfigError
from world.operator import run


@pytest.fixture
def standard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The standard file, which is not there yet."""
    monkeypatch.setattr(common, "STANDARD_FOLDER", tmp_path)
    return tmp_path / "server.toml"


def test_the_standard_file_is_meant_when_nothing_is_named(standard: Path, tmp_path: Path) -> None:
    assert configured(None, None).settings.data == "entrenous-signaling-data"
    standard.write_text('data = "/standard"')
    other = tmp_path / "other.toml"
    other.write_text('data = "/other"')
    assert [
        configured(*given).settings.data for given in ((None, None), (other, None), (None, "/own"), (other, "/own"))
    ] == [
        "/standard",
        "/other",
        "/own",
        "/own",
    ]
    assert [configured(*given).file for given in ((None, None), (other, None), (None, "/own"))] == [
        standard,
        other,
        None,
    ]


def test_a_standard_file_that_cannot_be_looked_at_is_said(standard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", deny)
    with pytest.raises(ConfigError, match="as root"):
        configured(None, None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as somebody else")
def test_root_acts_with_the_rights_of_the_owner_and_with_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = pwd.getpwnam("daemon")
    before = (os.geteuid(), os.getegid(), os.getgroups())
    monkeypatch.setattr(os, "getgrouplist", lambda name, group: [group, 4242] if name == "daemon" else [])
    os.chown(tmp_path, owner.pw_uid, owner.pw_gid)
    with acting_as_owner(tmp_path):
        assert (os.geteuid(), os.getegid(), os.getgroups()) == (owner.pw_uid, owner.pw_gid, [owner.pw_gid, 4242])
    os.chown(tmp_path, 54_321, 12_345)
    with acting_as_owner(tmp_path):
        assert (os.geteuid(), os.getegid(), os.getgroups()) == (54_321, 12_345, [12_345]), "a user without a name"
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as somebody else")
@pytest.mark.parametrize("command", ["calls", "invite", "users"])
def test_no_command_reads_for_the_server_what_only_root_may(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    owner = pwd.getpwnam("daemon")
    with tempfile.TemporaryDirectory() as name:  # pytest's own are behind a door that is closed to others
        folder = Path(name)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        (folder / "password").touch(mode=0o600)
        (folder / "password").write_text("of root")
        file = folder / "server.toml"
        where = 'database = "postgresql://me@127.0.0.1:1/none"'
        file.write_text(f'data = "{folder}"\n{where}\ndatabase_password_file = "{folder}/password"\n')
        code, _, err = run(capsys, command, "--config", file)
    assert (code, err) == (2, f"Error: {folder}/password cannot be read: Permission denied.\n")
