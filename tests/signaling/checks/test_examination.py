"""All checks together, on a server that can run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from entrenous_signaling.checks.examination import examine
from entrenous_signaling.checks.findings import Finding, Level
from entrenous_signaling.cluster.settings import ClusterSettings
from entrenous_signaling.config import ServerConfig
from entrenous_signaling.private_files import make_secret
from entrenous_signaling.turn_secrets import add_secret
from lab.certificates import self_signed, write
from world.operator import STATUS, answering


def of(config: ServerConfig, subject: str) -> Finding:
    (finding,) = (finding for finding in examine(config, None, datetime.now(UTC)) if finding.subject == subject)
    return finding


def test_nothing_is_wrong_with_a_new_server_and_nothing_is_changed(tmp_path: Path) -> None:
    config = ServerConfig(insecure_loopback=True, listen="127.0.0.1:0", name="127.0.0.1:8443", data=f"{tmp_path}/data")
    found = list(examine(config, None, datetime.now(UTC)))
    assert [finding for finding in found if finding.level is Level.ERROR] == []
    assert {"data", "disk", "database", "server", "listen", "name", "clock", "open files"} == {
        finding.subject for finding in found
    }
    assert list(tmp_path.iterdir()) == []


def test_a_running_server_is_asked_how_it_is(tmp_path: Path) -> None:
    config = ServerConfig(insecure_loopback=True, listen="127.0.0.1:0", control_socket=f"{tmp_path}/control")
    for answer, level in (
        (STATUS, Level.OK),
        (STATUS | {"degraded": True}, Level.WARNING),
        (STATUS | {"cut_off": True}, Level.WARNING),
        (STATUS | {"clock_ahead": 31.0, "clock_differs": True}, Level.WARNING),
        (STATUS | {"clock_set_by": -3600}, Level.WARNING),
        ({"error": "Not now."}, Level.WARNING),
        ({"connections": 3}, Level.WARNING),
    ):
        with answering(tmp_path / "control", answer) as asked:
            assert of(config, "server").level is level
        assert asked == [{"command": "status"}]
        (tmp_path / "control").unlink()


def test_everything_that_is_configured_is_looked_at(tmp_path: Path) -> None:
    make_secret(tmp_path / "message-secret")
    add_secret(tmp_path / "turn-secret")
    cert, key = write(tmp_path, self_signed("127.0.0.1"))
    config = ServerConfig(
        listen="127.0.0.1:0",
        admin_listen="127.0.0.1:0",
        data=str(tmp_path),
        tls_cert=str(cert),
        tls_key=str(key),
        turn_urls=("turn:127.0.0.1:1?transport=tcp",),
        turn_secret_file=str(tmp_path / "turn-secret"),
        cluster=ClusterSettings(nats=("nats://127.0.0.1:1",), secret_file=str(tmp_path / "message-secret")),
    )
    subjects = [finding.subject for finding in examine(config, None, datetime.now(UTC))]
    assert list(dict.fromkeys(subjects)) == [
        *("secret_file", "turn_secret_file", "cluster.secret_file", "tls_key", "certificate", "data", "disk"),
        *("database", "cluster", "server"),
        *("listen", "admin_listen", "name", "clock", "open files", "relay"),
    ]
