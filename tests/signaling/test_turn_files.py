"""Configurations of the relay in files, compared with the settings without showing secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrenous_signaling.turn_files import FileDiffersError, compare


def test_what_is_no_configuration_is_said(tmp_path: Path) -> None:
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
