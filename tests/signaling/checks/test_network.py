"""Ports, names, and relays that answer or do not."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from entrenous_signaling.checks import network
from entrenous_signaling.checks.findings import Finding, Level
from entrenous_signaling.checks.network import check_name, check_ports, check_relay, parse_relay
from entrenous_signaling.config import ServerConfig
from lab.certificates import Authority, write


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
    over = threading.Event()

    def never(*_: object, **__: object) -> list[object]:
        over.wait()
        return []

    monkeypatch.setattr(network, "_LOOKUP_SECONDS", 0.01)
    monkeypatch.setattr(socket, "getaddrinfo", never)
    assert check_name(ServerConfig(name="calls.example.org")).level is Level.ERROR
    over.set()


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("turn:relay.example.org", ("relay.example.org", 3478, "udp", False)),
        ("turn:192.0.2.1:3479?transport=tcp", ("192.0.2.1", 3479, "tcp", False)),
        ("turns:relay.example.org", ("relay.example.org", 5349, "tcp", True)),
        ("turns:[2001:db8::1]:443?transport=tcp", ("2001:db8::1", 443, "tcp", True)),
        ("turn:[2001:db8::1]", ("2001:db8::1", 3478, "udp", False)),
    ],
)
def test_urls_of_relays_are_taken_apart(url: str, place: tuple[str, int, str, bool]) -> None:
    assert parse_relay(url) == place


@pytest.mark.parametrize("url", ["turn:", "http:a", "turn:a:b", "turn:a:70000", "turn:a?transport=pigeon"])
def test_urls_of_no_relay_are_refused(url: str) -> None:
    with pytest.raises(ValueError):
        parse_relay(url)


def reply(request: bytes) -> bytes:
    """A binding success without attributes for a binding request (RFC 8489)."""
    return b"\x01\x01\x00\x00" + request[4:20]


@contextmanager
def relay(kind: str, answer: bool = True, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A relay on loopback that answers one request; its port."""
    stream = kind == "tcp"
    place = socket.socket(socket.AF_INET, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
    place.bind(("127.0.0.1", 0))

    def serve() -> None:
        if not stream:
            request, sender = place.recvfrom(100)
            place.sendto(reply(request) if answer else b"what?", sender)
            return
        connection, _ = place.accept()
        with connection:
            try:
                inner = connection if tls is None else tls.wrap_socket(connection, server_side=True)
                request = inner.recv(100)
                inner.sendall(reply(request) if answer else b"HTTP/1.1 400 Bad Request\r\n\r\n")
                inner.close()
            except OSError:
                return

    if stream:
        place.listen()
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield place.getsockname()[1]
    thread.join(10.0)
    place.close()


def asked(url: str) -> Finding:
    (finding,) = check_relay(ServerConfig(turn_urls=(url,), turn_secret_file="s"))
    return finding


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_a_relay_that_answers_is_told_from_something_else(kind: str) -> None:
    with relay(kind) as port:
        assert asked(f"turn:127.0.0.1:{port}?transport={kind}").level is Level.OK
    with relay(kind, answer=False) as port:
        finding = asked(f"turn:127.0.0.1:{port}?transport={kind}")
    assert (finding.level, "does not answer as a relay" in finding.text) == (Level.ERROR, True)


def test_nobody_at_the_place_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "ANSWER_SECONDS", 0.1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        finding = asked(f"turn:127.0.0.1:{silent.getsockname()[1]}")
        assert (finding.level, "no answer in time" in finding.text) == (Level.ERROR, True)
    assert asked("turn:127.0.0.1:1?transport=tcp").level is Level.ERROR
    assert "names no relay" in asked("turn:a:b").text


def test_the_certificate_of_a_relay_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write(tmp_path, authority.issue("127.0.0.1")))
    with relay("tcp", tls=context) as port:
        finding = asked(f"turns:127.0.0.1:{port}")
        assert (finding.level, "no certificate that can be believed" in finding.text) == (Level.ERROR, True)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with relay("tcp", tls=context) as port:
        assert asked(f"turns:127.0.0.1:{port}").level is Level.OK
