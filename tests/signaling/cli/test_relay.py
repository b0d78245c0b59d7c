"""The relay's configuration and its secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrenous_signaling.cli import common
from world.operator import run


@pytest.fixture
def relay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder with a secret and the settings of a relay."""
    assert run(capsys, "turn-secret", "add", str(tmp_path / "secret"))[0] == 0
    (tmp_path / "server.toml").write_text(
        f'turn_secret_file = "{tmp_path}/secret"\n[turn]\nhost = "turn.example.org"\naddresses = ["192.0.2.20"]\n'
    )
    return tmp_path


def test_the_relays_configuration_is_shown_without_and_written_with_its_secret(
    relay: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = (relay / "secret").read_text().strip()
    settings = ("turn-config", "--config", str(relay / "server.toml"))
    code, out, err = run(capsys, *settings)
    assert (code, err, secret in out) == (0, "", False)
    assert "listening-ip=192.0.2.20" in out
    written = relay / "turnserver.conf"
    code, said, _ = run(capsys, *settings, "--out", str(written))
    assert (code, secret in said, f"static-auth-secret={secret}\n" in written.read_text()) == (0, False, True)
    code, _, err = run(capsys, *settings, "--out", str(written))
    assert (code, "--force" in err) == (2, True)
    assert run(capsys, *settings, "--out", str(written), "--force")[0] == 0


def test_a_written_configuration_is_compared_with_the_settings(relay: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written, settings = relay / "turnserver.conf", ("turn-config", "--config", str(relay / "server.toml"))
    run(capsys, *settings, "--out", str(written))
    assert run(capsys, *settings, "--check", str(written))[0] == 0
    code, said, _ = run(capsys, "turn-secret", "add", str(relay / "secret"))
    assert (code, "accepts both" in said) == (0, True)
    code, _, err = run(capsys, *settings, "--check", str(written))
    assert (code, "missing: static-auth-secret=…" in err) == (1, True)
    assert not [secret for secret in (relay / "secret").read_text().split() if secret in err + said]


def test_the_steps_of_a_change_over_say_what_comes_next(relay: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for step in ("add", "switch", "retire"):
        code, out, _ = run(capsys, "turn-secret", step, str(relay / "secret"))
        said.append(out)
        assert code == 0
    expected = ("turn-secret switch", "Ten minutes later: turn-secret retire", "worth nothing")
    assert [words for words, text in zip(expected, said, strict=True) if words not in text] == []
    code, _, err = run(capsys, "turn-secret", "retire", str(relay / "secret"))
    assert (code, "one secret only" in err) == (2, True)


def test_the_firewall_rules_come_with_the_configuration(relay: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "turn-config", "--config", str(relay / "server.toml"), "--nftables")
    assert (code, "table inet entrenous_turn {" in out) == (0, True)


def test_without_a_name_the_standard_file_is_meant(
    relay: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    named = run(capsys, "turn-config", "--config", str(relay / "server.toml"))
    monkeypatch.setattr(common, "STANDARD_FOLDER", relay)
    assert run(capsys, "turn-config") == named
    assert named[0] == 0


@pytest.mark.parametrize(
    ("toml", "options", "words"),
    [
        ("", (), "turn.host is missing"),
        ('[turn]\nhost = "r"\nspeed = 1', (), "unknown field `speed`"),
        ('[turn]\nhost = "r"\naddresses = ["192.0.2.1"]', ("--out", "x"), "--turn-secret-file is missing"),
        ("", ("--out", "x", "--check", "y"), "one at a time"),
    ],
)
def test_what_makes_no_relay_is_said(
    toml: str, options: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "server.toml").write_text(toml)
    code, _, err = run(capsys, "turn-config", "--config", str(tmp_path / "server.toml"), *options)
    assert (code, words in err) == (2, True)
