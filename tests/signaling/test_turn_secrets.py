"""The file with the relay's secrets, and the steps of a change-over."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from entrenous_signaling.turn_secrets import add_secret, read_secrets, retire_secret, switch_secrets


def test_a_change_over_in_three_steps(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    add_secret(path)
    (old,) = read_secrets(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    add_secret(path)
    first, new = read_secrets(path)
    assert first == old != new
    switch_secrets(path)
    assert read_secrets(path) == (new, old)
    switch_secrets(path)  # back again, if something went wrong
    assert read_secrets(path) == (old, new)
    switch_secrets(path)
    retire_secret(path)
    assert read_secrets(path) == (new,)
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_a_file_keeps_its_rights(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    add_secret(path)
    path.chmod(0o440)
    add_secret(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o440


def test_a_third_secret_and_steps_out_of_order_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    add_secret(path)
    for step in (switch_secrets, retire_secret):
        with pytest.raises(ValueError, match="one secret only"):
            step(path)
    add_secret(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="finish it"):
        add_secret(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"short\n", "secret 1 must have 22"),
        (b"a-secret-that-is-long-enough\nshort\n", "secret 2"),
        (b"a-secret-with-a-#-in-it-is-none\n", "secret 1"),
        (b"a-secret-with a-blank-in-it\n", "secret 1"),
        (b'"a-secret-with-quotes-around"\n', "secret 1"),
        (b"x" * 129, "secret 1"),
        (b"=" + b"x" * 30, "secret 1"),
        (b"a-secret-that-is-long-enough\n" * 2, "two different"),
        (b"a-secret-that-is-long-enough\nb-secret-that-is-long-enough\nc-secret-that-is-long-enough", "one or"),
        ("ä-secret-that-is-long-enough".encode(), "secret 1"),
    ],
)
def test_what_is_no_secret_is_refused_without_showing_it(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    path.chmod(0o600)
    words = words.replace("one or", "one secret, or two")
    with pytest.raises(ValueError, match=words) as error:
        read_secrets(path)
    assert not [line for line in content.decode().split() if len(line) > 7 and line in str(error.value)]


def test_a_file_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    with pytest.raises(ValueError, match="No such file"):
        read_secrets(path)
    with pytest.raises(ValueError, match="cannot be written: No such file"):
        add_secret(tmp_path / "nowhere" / "secret")
    add_secret(path)
    path.chmod(0o604)
    with pytest.raises(ValueError, match="Everybody may use"):
        read_secrets(path)
