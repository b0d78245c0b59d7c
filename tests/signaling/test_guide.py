"""The operator's guide, `signaling/README.md`: its commands exist, and the defaults in it are those of the code."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from entrenous_signaling.cli.program import commands
from entrenous_signaling.config import ServerConfig

FOLDER = Path(__file__).parents[2] / "signaling"
GUIDE = (FOLDER / "README.md").read_text()


def command_lines() -> Iterator[list[str]]:
    """Every `entrenous-signaling …` of the guide's examples, split into words, without the program's name."""
    for block in re.findall(r"^```\w*\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"\s&&\s|\s#\s", line):
                if found := re.search(r"(?:^\$ (?:server [^$]*?)?|exec signaling )entrenous-signaling (\w.*)", part):
                    yield shlex.split(found[1])


@pytest.mark.parametrize("words", list(command_lines()), ids=" ".join)
def test_a_command_of_the_guide_is_one(words: list[str]) -> None:
    command: click.Command = commands
    known = {"--help"}
    for word in words:
        if isinstance(command, click.Group) and not word.startswith("-"):
            found = command.get_command(click.Context(command), word)
            assert found is not None, f"there is no command {word}"
            command = found
            known |= {option for parameter in command.params for option in parameter.opts}
        elif word.startswith("--"):
            assert word in known, f"{command.name} has no {word}"
    assert command is not commands


def test_the_guide_shows_most_commands() -> None:
    shown = {words[0] for words in command_lines()}
    assert {"serve", "init", "check", "status", "users", "invite", "calls"} <= shown


def test_the_defaults_that_the_guide_names_are_those_of_the_code() -> None:
    config = ServerConfig()
    for key, value in (
        ("retention.call_records_days", config.retention.call_records_days),
        ("retention.inactive_accounts_days", config.retention.inactive_accounts_days),
        ("messages.days", config.messages.days),
    ):
        assert f"| `{key}` | {value} |" in GUIDE


def test_what_the_guide_points_at_is_there() -> None:
    for path in re.findall(r"^\| `([^`]+)`(?:, `([^`]+)`)? \| ", GUIDE.split("## Try it")[0], re.MULTILINE):
        for name in filter(None, path):
            assert (FOLDER / name).exists(), name
    headings = {
        re.sub(r"[^a-z -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^## (.*)$", GUIDE, re.M)
    }
    assert set(re.findall(r"\]\(#([a-z-]+)\)", GUIDE)) <= headings
