"""`check`: findings, their next steps, and exit codes; what `init` has written passes and is served."""

from __future__ import annotations

import json
import os
import pwd
import socket
import tempfile
from pathlib import Path

import pytest

from entrenous_signaling.cli import common
from lab.certificates import DAY, Authority, write
from lab.ports import free_port
from world.operator import run
from world.serverproc import ServerProcess


async def test_what_init_writes_passes_and_is_served_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    cert, key = write(tmp_path, authority.issue("127.0.0.1", end=60 * DAY))
    key.chmod(0o600)
    port = free_port()
    code, said, _ = run(
        capsys,
        *("init", "--dir", tmp_path / "etc", "--name", f"127.0.0.1:{port}", "--listen", f"127.0.0.1:{port}"),
        *(
            "--tls-cert",
            cert,
            "--tls-key",
            key,
            "--data",
            tmp_path / "data",
            "--admin-listen",
            f"127.0.0.1:{free_port()}",
        ),
    )
    assert (code, "put the certificate" in said) == (0, False)
    file = tmp_path / "etc" / "server.toml"
    code, said, _ = run(capsys, "check", "--config", file)
    assert code == 0, said
    assert said.splitlines()[-1].startswith("0 errors")
    server = ServerProcess(tmp_path, arguments=("--config", str(file)))
    await server.start()
    assert (server.listening, server.url) == (f"127.0.0.1:{port}", f"wss://127.0.0.1:{port}/v1/signal")
    assert await server.stop() == 0
    assert (tmp_path / "data" / "accounts.sqlite3").exists()


def test_an_error_has_a_next_step_and_an_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        file = tmp_path / "server.toml"
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        file.write_text(f'insecure_loopback = true\nlisten = "{place}"\ndata = "{tmp_path}/data"\n')
        code, said, _ = run(capsys, "check", "--config", file)
        assert (code, f"listen: Cannot listen on {place}" in said, "→ See who has it: ss" in said) == (1, True, True)
        assert "1 error," in said
        code, said, _ = run(capsys, "check", "--config", file, "--json")
    found = [json.loads(line) for line in said.splitlines()]
    assert (code, [entry["subject"] for entry in found if entry["level"] == "error"]) == (1, ["listen"])
    assert {frozenset(entry) for entry in found} == {frozenset({"level", "subject", "text", "next_step"})}


def test_a_configuration_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "STANDARD_FOLDER", tmp_path)
    (tmp_path / "server.toml").write_text("speed = 1\n")
    code, out, err = run(capsys, "check")
    assert (code, out, "unknown field `speed`" in err, err.count("\n")) == (2, "", True, 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look as somebody else")
def test_root_looks_as_who_runs_the_server(capsys: pytest.CaptureFixture[str]) -> None:
    owner = pwd.getpwnam("daemon")
    with tempfile.TemporaryDirectory() as name:  # pytest's own are behind a door that is closed to others
        folder, etc, data = Path(name), Path(name) / "etc", Path(name) / "data"
        folder.chmod(0o755)
        data.mkdir(mode=0o700)
        os.chown(data, owner.pw_uid, owner.pw_gid)
        options = ("--dir", etc, "--name", "127.0.0.1:8443", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
        assert run(capsys, "init", *options, "--data", data, "--behind-proxy", "--owner", "daemon")[0] == 0
        file, secret = etc / "server.toml", etc / "message-secret"
        assert run(capsys, "check", "--config", file)[0] == 0
        for path, subject in ((secret, "secret_file"), (file, "configuration"), (etc, "configuration")):
            os.chown(path, 0, 0)
            code, said, _ = run(capsys, "check", "--config", file, "--json")
            wrong = [json.loads(line) for line in said.splitlines() if '"error"' in line]
            assert code == 1
            assert (wrong[0]["subject"], "Permission denied" in wrong[0]["text"]) == (subject, True), said
            os.chown(path, owner.pw_uid, owner.pw_gid)
        assert run(capsys, "check", "--config", file)[0] == 0
        folder.chmod(0o700)  # as /root: what is in it is the server's, and it cannot get there
        for text in (file.read_text(), file.read_text().replace("\nsecret_file", "\n#")):
            file.write_text(text)
            code, said, _ = run(capsys, "check", "--config", file, "--json")
            wrong = [json.loads(line)["subject"] for line in said.splitlines() if '"error"' in line]
            assert (code, wrong) == (1, ["configuration", "secret_file", "data", "database"]), said
    assert (os.geteuid(), os.getegid()) == (0, 0)


@pytest.mark.parametrize("place", [(), ("--data", "somewhere")])
def test_without_a_configuration_there_is_nothing_to_check(
    place: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "STANDARD_FOLDER", tmp_path)
    code, out, err = run(capsys, "check", *place)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "name it with --config" in err
