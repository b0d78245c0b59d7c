"""Secrets in private files."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from entrenous_signaling.private_files import (
    ensure_message_secret,
    make_secret,
    read_cluster_secret,
    read_message_secret,
    read_private,
)


def private(path: Path, text: str, mode: int = 0o600) -> Path:
    path.touch(mode=mode)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_secret_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "data" / "message-secret"
    made = ensure_message_secret(path)
    assert len(made) == 32
    assert ensure_message_secret(path) == made == read_message_secret(path)
    assert [stat.S_IMODE(place.stat().st_mode) for place in (path, path.parent)] == [0o600, 0o700]
    with pytest.raises(ValueError, match="is there already"):
        make_secret(path)
    make_secret(path, replace=True)
    assert read_message_secret(path) != made
    assert read_cluster_secret(path) == read_message_secret(path)


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [("hush", 0o604, "chmod 600"), ("hush", 0o602, "chmod 600"), (" \n", 0o600, "one line"), ("a\nb", 0o600, "one")],
)
def test_what_is_not_private_or_no_secret_is_refused(text: str, mode: int, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words) as error:
        read_private(private(tmp_path / "secret", text, mode))
    assert "hush" not in str(error.value)


def test_a_file_with_something_else_is_not_taken_for_the_secret(tmp_path: Path) -> None:
    path = private(tmp_path / "secret", "hush" * 16)
    with pytest.raises(ValueError, match="hexadecimal") as error:
        read_message_secret(path)
    assert "hush" not in str(error.value)
    with pytest.raises(ValueError, match="copy it from another node"):
        read_cluster_secret(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="no text"):
        read_private(path)
    with pytest.raises(ValueError, match="No such file"):
        read_private(tmp_path / "none")


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    private(tmp_path / "file", "x")
    with pytest.raises(ValueError, match="cannot be made"):
        ensure_message_secret(tmp_path / "file" / "folder" / "secret")
