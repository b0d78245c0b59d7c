"""Configurations of the relay in files: private, never overwritten unasked, compared without showing secrets."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from entrenous_signaling.turn_files import FileDiffersError, compare, write


def test_a_file_is_private_and_not_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "turnserver.conf"
    write(path, "one\n", replace=False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(ValueError, match="--force"):
        write(path, "two\n", replace=False)
    assert path.read_text() == "one\n"
    path.chmod(0o644)
    write(path, "two\n", replace=True)
    assert path.read_text() == "two\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be written: No such file"):
        write(tmp_path / "nowhere" / "file", "", replace=False)
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        compare(tmp_path / "file", "")
    (tmp_path / "file").write_bytes(b"\xff")
    with pytest.raises(ValueError, match="no configuration"):
        compare(tmp_path / "file", "")


def test_files_are_compared_by_their_directives(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("# a comment\nport=1\n\n  no-cli\n")
    compare(path, "# another\nno-cli\nport=1\n")
    with pytest.raises(FileDiffersError) as error:
        compare(path, "port=2\nno-cli\nstatic-auth-secret=hush\n")
    assert str(error.value).splitlines()[1:] == [
        "  not from the settings: port=1",
        "  missing: port=2",
        "  missing: static-auth-secret=…",
    ]


def test_a_long_list_of_differences_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(FileDiffersError) as error:
        compare(path, "\n".join(f"port={number}" for number in range(25)))
    assert str(error.value).splitlines()[-1] == "  and 15 more"
