"""Files that only their owner may read, and the secrets in them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from entrenous_signaling.private_files import (
    ensure_message_secret,
    make_secret,
    read_cluster_secret,
    read_message_secret,
    read_private,
    read_private_lines,
    staged,
    write,
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
    with pytest.raises(ValueError, match="cannot be written: No such file"):
        write(tmp_path / "nowhere" / "file", "", replace=False)


def test_a_file_that_is_not_filled_to_its_end_leaves_what_was_there(tmp_path: Path) -> None:
    path = private(tmp_path / "file", "old", 0o640)
    with pytest.raises(RuntimeError), staged(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    with staged(path, like=path.stat()) as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
        temporary.write_text("new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o640)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_file_that_takes_the_place_of_another_belongs_to_the_same_user(tmp_path: Path) -> None:
    path = private(tmp_path / "file", "old", 0o640)
    os.chown(path, 12, 34)
    with staged(path, like=path.stat()) as temporary:
        temporary.write_text("new")
    found = path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12, 34, 0o640)


def test_nothing_but_a_plain_file_is_replaced(tmp_path: Path) -> None:
    """As /dev/stdout, which is a link to a pipe, or to a file that the shell holds open."""
    file = private(tmp_path / "file", "old")
    places = [tmp_path / name for name in ("link", "pipe")]
    places[0].symlink_to(file)
    os.mkfifo(places[1])
    for path in places:
        with pytest.raises(OSError, match="no plain file"), staged(path) as temporary:
            temporary.write_text("new")
        with pytest.raises(ValueError, match="cannot be written: no plain file"):
            write(path, "new", replace=True)
    assert (file.read_text(), places[0].is_symlink(), places[1].is_fifo()) == ("old", True, True)
    assert len(list(tmp_path.iterdir())) == 3


def test_lines_are_read_without_blanks(tmp_path: Path) -> None:
    assert read_private_lines(private(tmp_path / "secrets", " one \n\n two\n")) == ["one", "two"]
