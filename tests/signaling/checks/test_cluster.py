"""What `check` says of NATS: a real server that lets a node in, and every reason why one does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from entrenous_signaling.checks.cluster import _finding, check_cluster
from entrenous_signaling.checks.findings import Level
from entrenous_signaling.cluster.nats_connection import Trouble
from entrenous_signaling.cluster.settings import ClusterSettings, NatsPlace
from entrenous_signaling.config import ServerConfig
from lab.nats import NatsServer, needs_nats, running_nats


def config(*servers: NatsServer, **changed: Any) -> ServerConfig:
    credentials = str(servers[0].credentials_file)
    urls = tuple(server.url for server in servers)
    return ServerConfig(cluster=ClusterSettings(**{"nats": urls, "credentials_file": credentials} | changed))


def test_a_server_that_is_alone_needs_no_nats() -> None:
    assert list(check_cluster(ServerConfig())) == []


@needs_nats
def test_a_real_server_lets_a_node_in_or_says_why_not(tmp_path: Path) -> None:
    with running_nats(tmp_path) as server:
        (finding,) = check_cluster(config(server))
        assert (finding.level, f"127.0.0.1:{server.port} lets this node in" in finding.text) == (Level.OK, True)
        (finding,) = check_cluster(config(server, prefix="another"))
        assert (finding.level, '"another.>"' in finding.next_step) == (Level.ERROR, True)
        server.credentials_file.write_text("node:hush\n")
        (finding,) = check_cluster(config(server))
        assert (finding.level, "does not know this node" in finding.text) == (Level.ERROR, True)
        assert "hush" not in finding.text + finding.next_step
        server.credentials_file.chmod(0o644)
        (finding,) = check_cluster(config(server))
        assert (finding.level, "chmod 600" in finding.text) == (Level.ERROR, True)


@needs_nats
def test_one_of_several_that_is_gone_is_a_warning(tmp_path: Path) -> None:
    for name in ("there", "gone"):
        (tmp_path / name).mkdir()
    with running_nats(tmp_path / "there") as there:
        gone = NatsServer(tmp_path / "gone")
        assert [finding.level for finding in check_cluster(config(there, gone))] == [Level.OK, Level.WARNING]
        assert [finding.level for finding in check_cluster(config(gone))] == [Level.ERROR]


@pytest.mark.parametrize("trouble", list(Trouble))
def test_every_trouble_is_a_sentence_with_a_next_step(trouble: Trouble) -> None:
    finding = _finding(NatsPlace("nats.example.org", 4222, tls=True), ServerConfig(), trouble)
    assert finding.level is Level.ERROR
    assert "nats.example.org:4222" in finding.text
    assert finding.next_step
