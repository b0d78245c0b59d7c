"""`entrenous doctor`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from entrenous import Finding, FindingCode, FindingLevel, WrongPassphrase
from entrenous.cli import doctor as module
from entrenous.cli.exits import ExitCode

PASSPHRASE = "four words in a row"

FINE = Finding(FindingCode.NETWORK_UP, FindingLevel.OK, "There is a network.")
WARNING = Finding(FindingCode.NO_RELAY, FindingLevel.WARNING, "There is no relay; ask for one.")
FAULT = Finding(FindingCode.SERVER_DOWN, FindingLevel.FAULT, "No server [runs] there; ask for it.", {"status": 502})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Let an examination find these things; returns what it was asked for."""
    seen: dict[str, Any] = {}

    def find(*findings: Finding) -> dict[str, Any]:
        async def examine(config: object, open_profile: object, **options: Any) -> AsyncIterator[Finding]:
            seen.update(options, config=config, open_profile=open_profile)
            options["step"]("Looking …")
            for finding in findings:
                yield finding

        monkeypatch.setattr(module, "examine", examine)
        return seen

    return find


def test_a_line_for_each_finding_and_a_verdict(entrenous: Callable, asked: Callable, profile: Path) -> None:
    asked(FINE, WARNING)
    told = entrenous("doctor", "--profile", profile)
    assert told.code == ExitCode.OK
    lines = told.out.splitlines()
    assert lines[0].split(maxsplit=1) == ["ok", FINE.sentence]
    assert lines[1].split(maxsplit=1) == ["warning", WARNING.sentence]
    assert lines[-1] == "Calls will work, though not as well as they could."


def test_a_fault_has_its_exit_code(entrenous: Callable, asked: Callable, profile: Path) -> None:
    asked(WARNING, FAULT)
    told = entrenous("doctor", "--profile", profile)
    assert told.code == ExitCode.FAULT_FOUND
    assert told.out.splitlines()[-1] == f"Begin with this: {FAULT.sentence}"


def test_all_is_well(entrenous: Callable, asked: Callable, profile: Path) -> None:
    asked(FINE)
    assert "calls will work" in entrenous("doctor", "--profile", profile).out


def test_json_is_one_object(entrenous: Callable, asked: Callable, profile: Path) -> None:
    asked(FINE, FAULT)
    told = entrenous("doctor", "--profile", profile, "--json")
    assert told.code == ExitCode.FAULT_FOUND
    assert len(told.out.splitlines()) == 1
    assert told.object["works"] is False
    assert told.object["first"] == "server-down"
    assert told.object["findings"][1] == {
        "code": "server-down",
        "level": "fault",
        "sentence": FAULT.sentence,
        "details": {"status": 502},
    }


def test_options_reach_the_examination(entrenous: Callable, asked: Callable, profile: Path) -> None:
    seen = asked(FINE)
    entrenous("doctor", "carol@127.0.0.1:9", "--no-sound", "--no-login", "--show-addresses", "--profile", profile)
    assert str(seen["peer"]) == "carol@127.0.0.1:9"
    assert (seen["sound"], seen["login"], seen["show_addresses"]) == (False, False, True)
    assert str(seen["open_profile"]().address) == "bob@127.0.0.1:9"


def test_a_wrong_passphrase_is_found_by_the_examination(
    entrenous: Callable, asked: Callable, profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = asked(FINE)
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", "another one")
    assert entrenous("doctor", "--profile", profile).code == ExitCode.OK
    with pytest.raises(WrongPassphrase):
        seen["open_profile"]()


def test_without_an_account(entrenous: Callable, asked: Callable, tmp_path: Path) -> None:
    seen = asked(FINE)
    entrenous("doctor", "--profile", tmp_path)
    assert (seen["config"], seen["open_profile"]) == (None, None)
    entrenous("doctor", "--profile", tmp_path, "--server", "calls.example.org")
    assert seen["config"].url == "wss://calls.example.org"
    assert seen["open_profile"] is None


def test_a_peer_that_is_no_address(entrenous: Callable, asked: Callable, profile: Path) -> None:
    asked(FINE)
    told = entrenous("doctor", "carol", "--profile", profile)
    assert told.code == ExitCode.USAGE
    assert "user@host" in told.err


async def test_ctrl_c_ends_it_at_once(profile: Path) -> None:
    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1):
            asked.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "entrenous.cli", "doctor", "--no-sound", "--profile", profile, "--server", url),
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "ENTRENOUS_PASSPHRASE": PASSPHRASE},
        )
        async with asyncio.timeout(60):
            await asked.wait()
            process.send_signal(signal.SIGINT)
            _, err = await process.communicate()
    assert process.returncode == ExitCode.INTERRUPTED
    assert b"Traceback" not in err


def test_help_names_the_exit_code(entrenous: Callable) -> None:
    assert f"{int(ExitCode.FAULT_FOUND)} when there is one" in " ".join(entrenous("doctor", "--help").out.split())
