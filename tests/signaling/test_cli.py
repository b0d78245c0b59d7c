"""The command line: records, invites, and help that teaches."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from entrenous_signaling.auth import hash_invite
from entrenous_signaling.cli import main
from entrenous_signaling.store.database import Databases, migrate


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.fixture
def data(tmp_path: Path) -> Path:
    usage = Databases(tmp_path).usage
    migrate(usage)
    with sqlite3.connect(usage) as database:
        database.executemany("INSERT INTO call_record VALUES (?, ?)", [(1763751727, 62), (1763750000, 5)])
    return tmp_path


def test_records_are_printed_as_a_table(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "calls", "--data", str(data))
    assert code == 0
    assert out.splitlines() == [
        "start (UTC)           duration (s)",
        "2025-11-21T18:33:20Z             5",
        "2025-11-21T19:02:07Z            62",
    ]


def test_records_are_printed_for_scripts(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "calls", "--data", str(data), "--json")
    assert [json.loads(line) for line in out.splitlines()] == [
        {"start": "2025-11-21T18:33:20Z", "duration": 5},
        {"start": "2025-11-21T19:02:07Z", "duration": 62},
    ]
    _, out, _ = run(capsys, "calls", "--data", str(data), "--csv")
    assert out.splitlines() == ["start,duration", "2025-11-21T18:33:20Z,5", "2025-11-21T19:02:07Z,62"]


def test_records_of_a_directory_without_any_are_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "calls", "--data", str(tmp_path / "nowhere"))
    assert (code, out) == (1, "")
    assert err.startswith("Error: There is no ")


def test_invites_are_minted_and_only_their_hashes_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "invite", "--data", str(tmp_path), "--count", "3")
    codes = out.split()
    assert code == 0
    assert len(set(codes)) == 3
    with sqlite3.connect(Databases(tmp_path).accounts) as database:
        kept = {row[0] for row in database.execute("SELECT hash FROM invite")}
    assert kept == {hash_invite(text) for text in codes}


def test_invites_for_a_directory_that_is_not_there_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "invite", "--data", str(tmp_path / "nowhere"))
    assert (code, err.startswith("Error: There is no directory")) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["serve", "--help"],
        ["calls", "--help"],
        ["invite", "-h"],
        ["turn-config", "-h"],
        ["turn-secret", "-h"],
    ],
)
def test_help_is_there(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert out.startswith("Usage: entrenous-signaling")


def test_a_wrong_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "serve", "--registration", "maybe")[0] == 2
    assert run(capsys, "serve", "--no-such-option")[0] == 2


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
