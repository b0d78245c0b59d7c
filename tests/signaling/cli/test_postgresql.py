"""The operator's commands on a real PostgreSQL."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from entrenous_signaling.config import ServerConfig
from entrenous_signaling.store.database import migrate
from entrenous_signaling.store.place import databases_of
from lab.postgres import Cluster
from world.operator import run


def test_commands_use_the_database_that_the_configuration_names(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = cluster.url(cluster.empty())
    place = ("--dir", tmp_path / "etc", "--data", tmp_path / "data", "--database", database)
    options = ("--name", "127.0.0.1:8443", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--behind-proxy")
    assert run(capsys, "init", *place, *options)[0] == 0
    which = ("--config", tmp_path / "etc" / "server.toml")
    code, said, _ = run(capsys, "check", *which)
    assert (code, "PostgreSQL: nothing is there yet" in said) == (0, True), said
    migrate(databases_of(ServerConfig.load(tmp_path / "etc" / "server.toml", {})))
    code, said, _ = run(capsys, "check", *which)
    assert (code, "PostgreSQL: it can be read, and is of this program's version" in said) == (0, True), said
    assert run(capsys, "invite", *which)[0] == 0
    code, said, _ = run(capsys, "users", *which, "--json")
    assert (code, json.loads(said)) == (0, {"accounts": 0, "devices": 0, "messages": 0})
    code, _, err = run(capsys, "users", *which, "remove", "alice")
    assert (code, err) == (1, "Error: There is no account alice.\n")
    code, said, _ = run(capsys, "calls", *which, "--csv")
    assert (code, said) == (0, "start,duration\n")


def test_a_database_that_is_not_there_is_an_error_and_no_password_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("psycopg", reason="the driver for PostgreSQL is not installed")
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text("hush-hush\n")
    file = tmp_path / "server.toml"
    file.write_text(
        'insecure_loopback = true\nlisten = "127.0.0.1:0"\ndatabase = "postgresql://me@127.0.0.1:1/calls"\n'
        f'data = "{tmp_path}/data"\ndatabase_password_file = "{password}"\n'
    )
    code, said, _ = run(capsys, "check", "--config", file)
    (line,) = (line for line in said.splitlines() if " database: " in line)
    assert (code, line.startswith("error"), "hush" in said) == (1, True, False)
