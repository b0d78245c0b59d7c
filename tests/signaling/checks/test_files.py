"""Files with secrets, and the configuration itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrenous_signaling.checks.files import check_files
from entrenous_signaling.checks.findings import Level
from entrenous_signaling.cluster.settings import ClusterSettings
from entrenous_signaling.config import ServerConfig
from entrenous_signaling.private_files import make_secret
from entrenous_signaling.turn_secrets import add_secret


@pytest.fixture
def config(tmp_path: Path) -> ServerConfig:
    make_secret(tmp_path / "message")
    make_secret(tmp_path / "cluster")
    add_secret(tmp_path / "turn")
    for name in ("password", "key", "nats"):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text("hush-hush\n")
    return ServerConfig(
        secret_file=str(tmp_path / "message"),
        turn_secret_file=str(tmp_path / "turn"),
        database_password_file=str(tmp_path / "password"),
        tls_key=str(tmp_path / "key"),
        cluster=ClusterSettings(secret_file=str(tmp_path / "cluster"), credentials_file=str(tmp_path / "nats")),
    )


def test_private_files_are_in_order(config: ServerConfig) -> None:
    found = list(check_files(config, None))
    assert [(finding.level, finding.subject) for finding in found] == [
        (Level.OK, "secret_file"),
        (Level.OK, "turn_secret_file"),
        (Level.OK, "database_password_file"),
        (Level.OK, "cluster.secret_file"),
        (Level.OK, "cluster.credentials_file"),
        (Level.OK, "tls_key"),
    ]


@pytest.mark.parametrize("name", ["message", "turn", "password", "key", "cluster", "nats"])
def test_what_everybody_may_read_or_is_not_there_is_an_error(name: str, config: ServerConfig, tmp_path: Path) -> None:
    (tmp_path / name).chmod(0o644)
    (bad,) = (finding for finding in check_files(config, None) if finding.level is Level.ERROR)
    assert "chmod 600" in bad.text
    assert "hush" not in bad.text
    (tmp_path / name).unlink()
    levels = [finding.level for finding in check_files(config, None)]
    assert levels.count(Level.ERROR) == (0 if name == "message" else 1)  # that one is made at the start


def test_a_configuration_that_others_may_change_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.touch(mode=0o644)
    config = ServerConfig(data=str(tmp_path))
    assert [finding.level for finding in check_files(config, file)] == [Level.OK]
    file.chmod(0o664)
    (finding,) = check_files(config, file)
    assert (finding.level, finding.next_step) == (Level.WARNING, f"chmod go-w {file}")
