"""Everything that can go wrong is a sentence and an exit code; never a traceback unless it is asked for."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from entrenous import list_sound_devices
from entrenous.cli import devices
from entrenous.cli.exits import MEANINGS, ExitCode
from entrenous.cli.program import group


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from commands(inner, (*path, name))


@pytest.mark.parametrize("path", list(commands(group)), ids=" ".join)
def test_every_command_has_help_that_teaches(entrenous: Callable, path: tuple[str, ...]) -> None:
    shown = entrenous(*path, "--help")
    assert shown.code == ExitCode.OK
    assert f"  entrenous {path[0] if path else 'demo'}" in shown.out  # an example to copy
    command = group
    for name in path:
        command = command.commands[name]  # type: ignore[attr-defined]  # `path` leads through groups
    if not isinstance(command, click.Group):
        assert "--json" in shown.out


@pytest.mark.parametrize("path", [(), ("account",), ("contacts",)], ids=" ".join)
def test_who_asks_for_nothing_gets_the_help_as_it_is(entrenous: Callable, path: tuple[str, ...]) -> None:
    ran = entrenous(*path)
    assert (ran.code, ran.out) == (ExitCode.USAGE, "")
    assert ran.err == entrenous(*path, "--help").out


def test_the_help_explains_every_exit_code(entrenous: Callable) -> None:
    shown = entrenous("--help").out
    for code, meaning in MEANINGS.items():
        assert f"{int(code):>3}  {meaning}" in shown


def test_the_version(entrenous: Callable) -> None:
    assert entrenous("--version").out.startswith("entrenous, version ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("sing",),
        ("call",),
        ("call", "bob", "--volume", "11"),
        ("call", "bob", "--for", "-1"),
        ("answer",),  # nobody to ask, and no --auto
        ("call", "bob", "--in-memory"),
        ("call", "bob", "--send-video", "a.mkv", "--test-card"),
        ("call", "bob", "--in-memory", "--username", "x", "--server", "ws://calls.example.org"),
        ("demo", "--for", "0"),
    ],
    ids=" ".join,
)
def test_wrong_usage(entrenous: Callable, arguments: tuple[str, ...]) -> None:
    ran = entrenous(*arguments)
    assert ran.code == ExitCode.USAGE
    assert ran.err.startswith("entrenous: ")
    assert ran.err.count("\n") == 1


def test_something_unforeseen(entrenous: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(devices, "list_sound_devices", broken)
    ran = entrenous("devices", "--json")
    assert ran.code == ExitCode.UNEXPECTED
    assert "ZeroDivisionError: oh" in ran.err
    assert ran.object["exit"] == "unexpected"


def test_a_traceback_for_those_who_ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from entrenous.cli.program import main

    def broken() -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(devices, "list_sound_devices", broken)
    monkeypatch.setenv("ENTRENOUS_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["devices"])


def test_ctrl_c_while_nothing_runs(entrenous: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(devices, "list_sound_devices", interrupted)
    assert entrenous("devices").code == ExitCode.INTERRUPTED


@pytest.mark.parametrize("loading", ["entrenous_wire.addresses", "av", "click", "entrenous.cli.calling"])
def test_ctrl_c_while_the_program_is_loaded(loading: str) -> None:
    # With -X importtime Python tells of each module that it has loaded.
    command = [sys.executable, "-X", "importtime", "-m", "entrenous.cli", "devices"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.rpartition("|")[2].strip() == loading:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode in (-signal.SIGINT, ExitCode.INTERRUPTED)
    assert out == ""
    assert "Traceback" not in err
    assert "KeyboardInterrupt" not in err


def test_ctrl_c_is_as_it_was_after_a_command(entrenous: Callable) -> None:
    before = signal.getsignal(signal.SIGINT)
    entrenous("--version")
    assert signal.getsignal(signal.SIGINT) is before


# As real processes: what goes wrong before, or without, a server.


def test_a_server_that_does_not_answer(process: Callable, profile: Path, tmp_path: Path) -> None:
    ran = process("register", "new@127.0.0.1:9", "--server", "ws://127.0.0.1:9", "--profile", tmp_path / "new")
    assert ran.code == ExitCode.SERVER_UNREACHABLE
    assert not (tmp_path / "new").exists() or not any((tmp_path / "new").iterdir())
    calling = process("answer", "--auto", "--no-audio-device", "--profile", profile, "--json")
    assert calling.code == ExitCode.SERVER_UNREACHABLE
    assert calling.object["exit"] == "server-unreachable"


def test_an_unknown_contact(process: Callable, profile: Path) -> None:
    ran = process("call", "nobody@127.0.0.1:9", "--no-audio-device", "--profile", profile)
    assert ran.code == ExitCode.UNKNOWN_CONTACT
    assert "not among your contacts" in ran.err


def test_a_wrong_passphrase(process: Callable, profile: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("something else\n")
    ran = process("whoami", "--profile", profile, "--passphrase-file", wrong)
    assert ran.code == ExitCode.WRONG_PASSPHRASE


def test_no_account(process: Callable, tmp_path: Path) -> None:
    ran = process("call", "bob@x.org", "--profile", tmp_path)
    assert ran.code == ExitCode.NO_ACCOUNT
    assert "entrenous register" in ran.err


def test_a_file_that_is_no_sound(process: Callable, profile: Path) -> None:
    ran = process("answer", "--auto", "--send-audio", __file__, "--no-audio-device", "--profile", profile)
    assert ran.code == ExitCode.UNREADABLE_FILE
    assert "cannot be read" in ran.err


def test_no_sound_card(process: Callable, profile: Path) -> None:
    if list_sound_devices():
        pytest.skip("this machine has a sound card; test_media_options.py stands for one that has none")
    ran = process("answer", "--auto", "--profile", profile)
    assert ran.code == ExitCode.NO_SOUND_CARD
    assert "--send-audio FILE" in ran.err
