"""Ports and names."""

from __future__ import annotations

import socket

import pytest

from entrenous_signaling.checks import network
from entrenous_signaling.checks.findings import Level
from entrenous_signaling.checks.network import check_name, check_ports
from entrenous_signaling.config import ServerConfig


def test_a_free_port_is_in_order_and_a_taken_one_an_error_unless_we_have_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = ServerConfig(listen=f"127.0.0.1:{port}", admin_listen="127.0.0.1:0")
        assert [finding.level for finding in check_ports(config, running=False)] == [Level.ERROR, Level.OK]
        ours, _ = check_ports(config, running=True)
        assert (ours.level, "running server holds" in ours.text) == (Level.OK, True)


def test_a_low_port_is_for_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network.os, "geteuid", lambda: 1000)
    finding, *_ = check_ports(ServerConfig(listen="192.0.2.1:443"), running=False)
    assert (finding.level, "CAP_NET_BIND_SERVICE" in finding.next_step) == (Level.WARNING, True)


def test_a_name_leads_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_name(ServerConfig(name="192.0.2.1:8443")).level is Level.OK
    found = check_name(ServerConfig(name="localhost"))
    assert (found.level, "127.0.0.1" in found.text) == (Level.OK, True)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
    assert check_name(ServerConfig(name="calls.example.org")).level is Level.ERROR

    def fails(*_: object, **__: object) -> list[object]:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    assert check_name(ServerConfig(name="calls.example.org")).level is Level.ERROR


@pytest.mark.parametrize(
    ("place", "is_open"),
    [
        *((place, False) for place in ("127.0.0.1:0", "localhost:0", "10.0.0.1:9443", "[fd00::1]:9443")),
        *((place, True) for place in ("0.0.0.0:0", "[::]:0", "1.1.1.1:9443", "[2a00::1]:9443")),
    ],
)
def test_metrics_for_the_world_are_a_warning(place: str, is_open: bool) -> None:
    config = ServerConfig(listen="127.0.0.1:0", admin_listen=place)
    found = [finding.text for finding in check_ports(config, running=True) if finding.level is Level.WARNING]
    assert [f"reaches this machine at {place}" in text for text in found] == [True] * is_open
