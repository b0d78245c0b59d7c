"""`users`: counting, and removing one."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest

from entrenous_signaling.cli.common import CONFIG_VARIABLE
from entrenous_signaling.store.database import Databases, migrate
from world.operator import answering, run
from world.serverproc import running_server
from world.wirenode import Account, connected


@pytest.fixture
def data(tmp_path: Path) -> Path:
    migrate(Databases(tmp_path))
    with sqlite3.connect(tmp_path / "accounts.sqlite3") as database:
        for name in ("alice", "bob"):
            database.execute("INSERT INTO account (username, identity_key) VALUES (?, x'00')", (name,))
            for device in ("laptop", "phone"):
                database.execute("INSERT INTO device VALUES (?, ?, x'00', 1)", (name, device))
        database.execute("INSERT INTO prekey VALUES ('alice', 'phone', 0, x'00')")
    return tmp_path


def test_accounts_are_counted_and_not_listed(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = run(capsys, "users", "--data", data)
    assert (code, said) == (0, "2 accounts with 4 devices; 0 messages stored for devices that are offline.\n")
    _, said, _ = run(capsys, "users", "--data", data, "--json")
    assert json.loads(said) == {"accounts": 2, "devices": 4, "messages": 0}


def test_without_a_server_an_account_is_removed_from_the_database(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, _ = run(capsys, "users", "--data", data, "remove", "Alice@calls.example.org")
    assert (code, said) == (
        0,
        "alice is deleted, with 2 devices, 1 prekey and 0 stored messages. No server is running.\n",
    )
    with sqlite3.connect(data / "accounts.sqlite3") as database:
        assert database.execute("SELECT username FROM device").fetchall() == [("bob",), ("bob",)]
        assert database.execute("SELECT count(*) FROM prekey").fetchone() == (0,)
    code, _, err = run(capsys, "users", "--data", data, "remove", "alice")
    assert (code, err) == (1, "Error: There is no account alice.\n")


def test_a_running_server_removes_it_and_ends_its_sessions(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = {"devices": 2, "prekeys": 1, "messages": 3, "sessions": 1}
    with answering(data / "control.sock", answer) as asked:
        code, said, _ = run(capsys, "users", "--data", data, "remove", "alice")
    assert asked == [{"command": "remove-account", "username": "alice"}]
    assert (code, said) == (0, "alice is deleted, with 2 devices, 1 prekey and 3 stored messages. 1 session ended.\n")
    (data / "control.sock").unlink()
    with answering(data / "control.sock", {"error": "There is no such account.", "code": "unknown-account"}):
        code, _, err = run(capsys, "users", "--data", data, "remove", "carol")
    assert (code, err) == (1, "Error: There is no such account.\n")
    (data / "control.sock").unlink()
    with answering(data / "control.sock", answer):
        _, said, _ = run(capsys, "users", "--data", data, "--json", "remove", "alice")
    assert json.loads(said) == answer


def test_options_stand_before_or_behind_remove(
    data: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path_factory.mktemp("other") / "server.toml"
    other.write_text(f'data = "{other.parent}"\n')
    file = data / "server.toml"
    file.write_text(f'data = "{data}"\n')
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(CONFIG_VARIABLE, str(other))
        for words in (("remove", "alice", "--config", file, "--json"), ("--config", file, "--json", "remove", "bob")):
            code, said, _ = run(capsys, "users", *words)
            assert (code, json.loads(said)["devices"]) == (0, 2)
        code, _, err = run(capsys, "users", "remove", "alice")
        assert (code, str(other.parent) in err) == (1, True), "the environment's is meant when nothing is said"


def test_a_server_of_another_version_is_a_clear_sentence(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(data / "control.sock", {"devices": 2, "sessions": 1}):
        code, out, err = run(capsys, "users", "--data", data, "remove", "alice")
    assert (code, out, "another version" in err, err.count("\n")) == (1, "", True, 1)


def test_what_is_no_name_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "users", "--data", data, "remove", "not a name")
    assert (code, "A username has" in err) == (2, True)


def test_an_address_of_another_server_removes_nobody_here(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = data / "server.toml"
    file.write_text(f'data = "{data}"\nname = "calls.example.org"\n')
    code, _, err = run(capsys, "users", "--config", file, "remove", "alice@other.example.org")
    assert (code, "this server is calls.example.org" in err) == (2, True)
    assert run(capsys, "users", "--config", file, "remove", "Alice@Calls.example.org")[0] == 0


def test_a_directory_without_accounts_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ((), ("remove", "alice")):
        code, _, err = run(capsys, "users", "--data", tmp_path, *words)
        assert (code, err.startswith("Error: There are no accounts"), list(tmp_path.iterdir())) == (1, True, [])


async def test_nothing_is_removed_behind_the_back_of_a_server_that_does_not_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_server(tmp_path) as server:
        file = tmp_path / "server.toml"
        file.write_text(f'data = "{server.data}"\ncontrol_socket = "{tmp_path}/elsewhere"\n')
        code, _, err = run(capsys, "users", "--config", file, "remove", "alice")
        assert (code, "does not answer" in err) == (1, True)
    code, _, err = run(capsys, "users", "--config", file, "remove", "alice")
    assert (code, err) == (1, "Error: There is no account alice.\n")


async def test_a_real_server_is_asked_and_removes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with running_server(tmp_path) as server, connected(server.url) as wire:
        await wire.register(Account("alice", server.name))
        place = ("--data", server.data)
        code, said, _ = await asyncio.to_thread(run, capsys, "status", *place, "--json")
        assert (code, json.loads(said)["connections"]) == (0, 1)
        code, said, _ = await asyncio.to_thread(run, capsys, "users", *place, "remove", "alice")
        assert (code, said) == (
            0,
            "alice is deleted, with 1 device, 1 prekey and 0 stored messages. 1 session ended.\n",
        )
        code, said, _ = await asyncio.to_thread(run, capsys, "users", *place, "--json")
        assert json.loads(said) == {"accounts": 0, "devices": 0, "messages": 0}
        code, _, err = await asyncio.to_thread(run, capsys, "users", *place, "remove", "alice")
        assert (code, err.startswith("Error: ")) == (1, True)
