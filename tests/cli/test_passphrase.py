"""Where the passphrase comes from, and what is said when it comes from nowhere."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from entrenous import ConfigError, KeystoreError, WrongPassphrase
from entrenous.cli.passphrase import open_account, read_new_passphrase, read_passphrase


class Terminal:
    """Stands for a standard input at which somebody sits."""

    def isatty(self) -> bool:
        return True


def test_a_file_goes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", "from the environment")
    file = tmp_path / "secret"
    file.write_bytes(b"from the file\r\nsecond line\n")
    assert read_passphrase(file) == "from the file"
    assert read_passphrase(None) == "from the environment"


def test_a_new_one_is_typed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENTRENOUS_PASSPHRASE", raising=False)
    monkeypatch.setattr("sys.stdin", Terminal())
    asked: list[dict[str, object]] = []

    def prompt(_: str, **how: object) -> str:
        asked.append(how)
        return "typed"

    monkeypatch.setattr(click, "prompt", prompt)
    assert read_passphrase(None, confirm=True) == "typed"
    assert asked == [{"hide_input": True, "confirmation_prompt": True, "err": True}]


def test_nobody_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENTRENOUS_PASSPHRASE", raising=False)
    with pytest.raises(ConfigError, match="no terminal"):
        read_passphrase(None)


def test_an_empty_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("\n")
    with pytest.raises(ConfigError, match="empty"):
        read_passphrase(file)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_passphrase(tmp_path / "missing")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        read_passphrase(binary)


def test_opening_an_account(profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", "four words in a row")
    config, account = open_account(profile, None)
    assert str(account.address) == "bob@127.0.0.1:9"
    assert config.profile == profile
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", "something else")
    with pytest.raises(WrongPassphrase):
        open_account(profile, None)
    with pytest.raises(KeystoreError, match="entrenous register"):
        open_account(profile.parent / "nobody", None)


def test_the_passphrase_to_change_to_is_not_the_present_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", "the present one")
    with pytest.raises(ConfigError, match="--new-passphrase-file"):
        read_new_passphrase(None)
    file = tmp_path / "new"
    file.write_text("from the file\n")
    assert read_new_passphrase(file) == "from the file"
    file.write_text("\n")
    with pytest.raises(ConfigError, match="empty"):
        read_new_passphrase(file)
    asked: list[dict[str, object]] = []
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(click, "prompt", lambda _, **how: asked.append(how) or "typed")
    assert read_new_passphrase(None) == "typed"
    assert asked == [{"hide_input": True, "confirmation_prompt": True, "err": True}]
