"""Text for people on one side, JSON for scripts on the other, never mixed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pytest

from entrenous import Address, EndReason, StreamKind, WordsKnown
from entrenous.cli.exits import ExitCode
from entrenous.cli.output import Output, event_name, plain, save_qr


@dataclass(frozen=True)
class Record:
    who: Address
    where: Path
    why: EndReason
    items: tuple[int, ...]


class Number(Enum):
    ONE = 1


def test_everything_becomes_what_json_has() -> None:
    record = Record(Address.parse("bob@x.org"), Path("a/b"), EndReason.BUSY, (1, 2))
    assert plain(record) == {"who": "bob@x.org", "where": "a/b", "why": "busy", "items": [1, 2]}
    assert plain({StreamKind.AUDIO: Number.ONE, "flag": True, "none": None}) == {"audio": 1, "flag": True, "none": None}


def test_event_names() -> None:
    assert event_name(WordsKnown(("a", "b", "c"), verified=True)) == "words-known"


def test_a_person_gets_text_only(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()
    output.line("A [bold] line.")
    output.table(("Name", "Age"), [("bob", "7")])
    output.heading("More")
    output.qr("entrenous:bob@x.org#abc")
    output.json({"a": 1})
    output.event("ready")
    output.progress("Working …")
    out, err = capsys.readouterr()
    assert out.startswith("A [bold] line.\n")
    assert "bob" in out
    assert "{" not in out
    assert "▄" in out
    assert err == "Working …\n"


def test_a_pipe_folds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    long = "a" * 300
    Output().table(("Name", "Age"), [(long, "7")])
    assert f"{long}  7" in capsys.readouterr().out


def test_a_script_gets_json_only(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=True)
    output.line("A line.")
    output.table(("Name",), [("bob",)])
    output.heading("More")
    output.qr("entrenous:bob@x.org#abc")
    output.progress("Working …")
    output.event("ready", address="bob@x.org")
    out, err = capsys.readouterr()
    assert json.loads(out)["event"] == "ready"
    assert json.loads(out)["at"] > 0
    assert err == ""


def test_an_error_reaches_both(capsys: pytest.CaptureFixture[str]) -> None:
    Output().error("No.", ExitCode.BUSY)
    assert capsys.readouterr() == ("", "entrenous: No.\n")
    Output(as_json=True).error("No.", ExitCode.NO_SOUND_CARD)
    out, err = capsys.readouterr()
    assert json.loads(out) == {"event": "error", "error": "No.", "exit": "no-sound-card", "code": 11}
    assert err == "entrenous: No.\n"


def test_nobody_is_at_a_terminal_here() -> None:
    assert not Output().interactive


def test_a_qr_code_as_a_picture(tmp_path: Path) -> None:
    save_qr("entrenous:bob@x.org#abc", tmp_path / "card.png")
    assert (tmp_path / "card.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="docx"):
        save_qr("entrenous:bob@x.org#abc", tmp_path / "card.docx")
