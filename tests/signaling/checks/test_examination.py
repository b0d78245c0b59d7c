"""All checks together, on a server that can run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from entrenous_signaling.checks.examination import examine
from entrenous_signaling.checks.findings import Finding, Level
from entrenous_signaling.config import ServerConfig
from world.operator import answering


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
        ({"connections": 3, "degraded": False}, Level.OK),
        ({"connections": 3, "degraded": True}, Level.WARNING),
        ({"error": "Not now."}, Level.WARNING),
    ):
        with answering(tmp_path / "control", answer) as asked:
            assert of(config, "server").level is level
        assert asked == [{"command": "status"}]
        (tmp_path / "control").unlink()
