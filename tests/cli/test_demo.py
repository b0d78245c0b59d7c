"""`entrenous demo`: how its result is shown, and what it says when it cannot run."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from entrenous.cli import demo
from entrenous.cli.demo_run import DemoResult
from entrenous.cli.exits import ExitCode
from entrenous.cli.output import Output

MadeUp = Callable[..., DemoResult]


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Callable[[DemoResult], None]:
    """Have the demo come out in a certain way, without playing it."""

    def come_out(result: DemoResult) -> None:
        async def play(seconds: float, out: Path, tell: Callable[[str], None]) -> DemoResult:
            tell("Playing …")
            return result

        monkeypatch.setattr(demo, "play", play)

    return come_out


def test_what_a_person_sees(made_up: MadeUp, capsys: pytest.CaptureFixture[str]) -> None:
    demo.report(Output(), made_up())
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for expected in (
        "dial → it rings at Bob's 100",
        "accept → both hear each other 150",
        "alice river lamp oak",
        "bob river lamp oak",
        "They are the same: nobody sits between the two.",
        "path direct direct",
        "sound: blocks sent / played / concealed 100 / 98 / 1 100 / 98 / 1",
        "picture: frames sent / decoded 30 / 29 30 / 29",
        "round trip 1.5 ms 1.5 ms",
        "a.ogg",
        "start 2026-01-01T00:00:00Z, duration 2",
    ):
        assert expected in lines


def test_a_call_without_words_is_no_success(made_up: MadeUp, capsys: pytest.CaptureFixture[str]) -> None:
    demo.report(Output(), made_up(caller={"words": None}))
    out = capsys.readouterr().out
    assert "alice  none" in out
    assert "THEY DIFFER." in out


def test_what_a_script_sees(made_up: MadeUp, played: Callable, entrenous: Callable, tmp_path: Path) -> None:
    played(made_up())
    ran = entrenous("demo", "--json", "--out", tmp_path / "out")
    assert ran.code == ExitCode.OK
    assert ran.err == ""
    assert {
        "connected",
        "words_match",
        "path",
        "dial_to_ringing_ms",
        "accept_to_audio_ms",
        "audio",
        "video",
        "frames_rejected",
        "server_kept",
    } <= set(ran.object)
    assert (tmp_path / "out").is_dir()


def test_differing_words_are_a_failure(made_up: MadeUp, played: Callable, entrenous: Callable, tmp_path: Path) -> None:
    played(made_up(caller={"words": ["a", "b", "c"]}))
    assert entrenous("demo", "--json", "--out", tmp_path).code == ExitCode.CALL_FAILED


def test_without_the_server_it_says_what_to_install(entrenous: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec

    def find(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "sqlalchemy" else real(name, package)

    monkeypatch.setattr(demo, "find_spec", find)
    ran = entrenous("demo")
    assert ran.code == ExitCode.USAGE
    assert "sqlalchemy is not installed" in ran.err
    assert "pip install 'entrenous[server]'" in ran.err


def test_a_folder_that_cannot_be_made(entrenous: Callable, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = entrenous("demo", "--out", tmp_path / "file" / "out")
    assert ran.code == ExitCode.UNREADABLE_FILE
