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


def inner_commands(command: click.Command) -> dict[str, click.Command]:
    if not isinstance(command, click.Group):
        return {}
    context = click.Context(command)
    found = {name: command.get_command(context, name) for name in command.list_commands(context)}
    return {name: inner for name, inner in found.items() if inner is not None}


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    for name, inner in inner_commands(command).items():
        yield from commands(inner, (*path, name))


COMMANDS = dict(commands(group))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_help_that_teaches(entrenous: Callable, path: tuple[str, ...]) -> None:
    shown = entrenous(*path, "--help")
    assert shown.code == ExitCode.OK
    assert f"  entrenous {path[0] if path else 'demo'}" in shown.out  # an example to copy
    if not isinstance(COMMANDS[path], click.Group):
        assert "--json" in shown.out


def test_the_help_lists_every_command_with_what_it_says_of_itself(entrenous: Callable) -> None:
    listed = " ".join(entrenous("--help").out.partition("\nCommands:\n")[2].partition("\n\n")[0].split())
    of_themselves = [f"{name} {inner.get_short_help_str(200)}" for name, inner in inner_commands(group).items()]
    assert listed == " ".join(of_themselves)
    assert [inner.name for inner in inner_commands(group).values()] == list(inner_commands(group))


def test_what_needs_no_media_loads_none(entrenous: Callable, profile: Path) -> None:
    program = (
        "import contextlib, sys\n"
        "from entrenous.cli import main\n"
        "for arguments in (['--help'], ['contacts', 'list', '--profile', sys.argv[1]]):\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        main(arguments)\n"
        "    print([name for name in ('av', 'aiortc', 'numpy', 'sounddevice') if name in sys.modules])\n"
    )
    ran = subprocess.run([sys.executable, "-c", program, profile], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith(entrenous("--help").out)
    lines = ran.stdout.splitlines()
    assert lines[-2].startswith("No contacts yet.")
    assert [line for line in lines if line.startswith("[")] == ["[]", "[]"]


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


# Where the module named by the argument would be found, it says so and waits.
HALTED = """
import sys

class Halt:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            print("loading", flush=True)
            sys.stdin.read()

sys.meta_path.insert(0, Halt())
from entrenous.cli import main
main(["devices"])
"""


@pytest.mark.parametrize("loading", ["click", "entrenous.cli.output", "entrenous.cli.devices", "av"])
def test_ctrl_c_while_the_program_is_loaded(loading: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HALTED, loading],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "loading\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out, err) == (-signal.SIGINT, "", "")


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
