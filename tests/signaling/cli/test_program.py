"""The command line as a whole: help that teaches, and exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from entrenous_signaling.cli.program import commands
from world.operator import run


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["serve", "--help"],
        ["calls", "--help"],
        ["init", "-h"],
        ["check", "-h"],
        ["status", "-h"],
        ["users", "-h"],
        ["users", "remove", "-h"],
        ["invite", "-h"],
        ["turn-config", "-h"],
        ["turn-secret", "-h"],
    ],
)
def test_help_is_there(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert out.startswith("Usage: entrenous-signaling")


def test_the_list_of_commands_is_of_all_and_cuts_nothing_off(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "--help")
    listed = {line.split()[0]: line for line in out.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()}
    context = click.Context(commands)
    assert listed.keys() == set(commands.list_commands(context))
    for name in listed:
        command = commands.get_command(context, name)
        assert command is not None
        assert command.name == name
    assert not any("..." in line for line in listed.values())


def test_the_help_explains_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "--help")
    assert [line.split()[0] for line in out.partition("Exit codes:\n")[2].splitlines()] == ["0", "1", "2"]


def test_a_command_that_is_not_there_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "severe")
    assert code == 2
    assert "No such command 'severe'" in err


@pytest.mark.parametrize(
    ("words", "unneeded"),
    [
        (["--help"], ("aiohttp", "sqlalchemy", "cryptography", "msgspec", "asyncio")),
        (["status", "--data", "nowhere"], ("aiohttp", "sqlalchemy", "cryptography", "prometheus_client")),
        (["users", "--help"], ("aiohttp", "alembic", "cryptography", "prometheus_client")),
        (["serve", "--help"], ("alembic", "sqlalchemy.dialects.postgresql")),
    ],
)
def test_a_command_loads_what_it_needs(words: list[str], unneeded: tuple[str, ...], tmp_path: Path) -> None:
    script = (
        "import contextlib, sys\nfrom entrenous_signaling.cli import main\n"
        f"with contextlib.suppress(SystemExit): main({words!r})\n"
        f"print([name for name in {unneeded!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path, timeout=60
    )
    assert done.stderr.splitlines()[-1] == "[]"


def test_a_wrong_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "serve", "--registration", "maybe")[0] == 2
    assert run(capsys, "serve", "--no-such-option")[0] == 2
