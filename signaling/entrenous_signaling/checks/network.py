"""The network: ports, the server's name, and whether the relay answers."""

from __future__ import annotations

import os
import queue
import secrets
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qs

from entrenous_signaling.config import Listen, ServerConfig
from entrenous_signaling.listeners import ServeError, bind

from .certificate import host_of
from .findings import Finding, error, ok, warning

ANSWER_SECONDS: Final = 3.0
_LOOKUP_SECONDS: Final = 5.0
_RETRANSMISSIONS: Final = 3

_MAGIC: Final = 0x2112A442
_BINDING_REQUEST: Final = 0x0001
_BINDING_SUCCESS: Final = 0x0101
_HEADER: Final = struct.Struct("!HHI12s")
_PORTS: Final = {"turn": 3478, "turns": 5349}
"""Ports that a URL without one means (RFC 7065)."""


def check_ports(config: ServerConfig, *, running: bool) -> Iterator[Finding]:
    """Look whether the server can listen where it shall.

    Args:
        config: a checked configuration.
        running: whether a server with these settings runs now, which then holds the ports.
    """
    for key, text in (("listen", config.listen), ("admin_listen", config.admin_listen)):
        if not text:
            continue
        at = Listen.parse(text)
        try:
            bind(at).close()
        except ServeError as problem:
            if running:
                yield ok(key, f"The running server holds {at}.")
            elif 0 < at.port < 1024 and os.geteuid() != 0:
                yield warning(
                    key,
                    f"This user may not listen on port {at.port}.",
                    "The systemd unit lets the server do so (CAP_NET_BIND_SERVICE); look as root.",
                )
            else:
                yield error(key, str(problem), f"See who has it: ss -Hlntp 'sport = :{at.port}'")
        else:
            yield ok(key, f"{at} is free.")


def check_name(config: ServerConfig) -> Finding:
    """Look whether the server's name leads anywhere."""
    host = host_of(config.public_name(Listen.parse(config.listen)))
    try:
        address = ip_address(host)
    except ValueError:
        pass
    else:
        return ok("name", f"{address} is an address and needs no look-up.")
    addresses = _addresses(host)
    if not addresses:
        return error(
            "name",
            f"{host} has no address that this machine can look up.",
            f"Make A and AAAA records of {host} that name this server's public addresses.",
        )
    return ok("name", f"{host} is {', '.join(addresses)}.")


def check_relay(config: ServerConfig) -> Iterator[Finding]:
    """Look whether each URL of the relay answers STUN; whether it knows our secret shows in a call."""
    for url in config.relay_urls:
        try:
            host, port, transport, tls = parse_relay(url)
        except ValueError:
            yield error("relay", f"{url} names no relay.", "Write turn:HOST:PORT or turns:HOST:PORT (RFC 7065).")
            continue
        try:
            answered = _answers_udp(host, port) if transport == "udp" else _answers_tcp(host, port, host if tls else "")
        except ssl.SSLError as problem:
            reason = getattr(problem, "verify_message", "") or problem.reason or "TLS failed"
            yield error(
                "relay", f"{url} has no certificate that can be believed: {reason}.", "Renew that of the relay."
            )
            continue
        except OSError as problem:
            yield error("relay", f"{url} cannot be reached: {problem.strerror or 'no answer in time'}.", _LOOK_AT_RELAY)
            continue
        if answered:
            yield ok("relay", f"{url} answers.")
        else:
            yield error("relay", f"{url} does not answer as a relay.", _LOOK_AT_RELAY)


_LOOK_AT_RELAY: Final = "Look whether it runs (systemctl status entrenous-turn) and what the firewall lets through."


def parse_relay(url: str) -> tuple[str, int, str, bool]:
    """Take a URL of a relay apart: host, port, `udp` or `tcp`, and whether TLS is used.

    Raises:
        ValueError: it is none of RFC 7065.
    """
    scheme, _, rest = url.partition(":")
    place, _, query = rest.partition("?")
    if scheme not in _PORTS or not place:
        raise ValueError("no TURN URL")
    host, port = place, ""
    if not place.endswith("]") and ":" in place:
        host, _, port = place.rpartition(":")
    transport = parse_qs(query).get("transport", ["tcp" if scheme == "turns" else "udp"])[0]
    number = int(port) if port else _PORTS[scheme]
    if transport not in ("udp", "tcp") or not 0 < number < 65536:
        raise ValueError("no TURN URL")
    return host.strip("[]"), number, transport, scheme == "turns"


def _addresses(host: str) -> list[str]:
    """The addresses of a host; none when the look-up fails or takes too long, for which the system has no bound."""
    found: queue.SimpleQueue[list[str]] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError:
            entries = []
        found.put(sorted({str(entry[4][0]) for entry in entries}))

    threading.Thread(target=look_up, daemon=True).start()
    try:
        return found.get(timeout=_LOOKUP_SECONDS)
    except queue.Empty:
        return []


def _answers_udp(host: str, port: int) -> bool:
    """Ask three times, since datagrams get lost.

    Raises:
        OSError: the host is unknown, or its network refuses.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    request, transaction = _binding_request()
    with socket.socket(family, kind, protocol) as connection:
        connection.connect(address)
        connection.settimeout(ANSWER_SECONDS / _RETRANSMISSIONS)
        for _ in range(_RETRANSMISSIONS):
            connection.send(request)
            try:
                return _is_success(connection.recv(1500), transaction)
            except TimeoutError:
                continue
    raise TimeoutError


def _answers_tcp(host: str, port: int, tls_name: str) -> bool:
    """Ask over TCP, or over TLS when a name is given that its certificate must have.

    Raises:
        OSError: there is no connection, or no TLS; ssl.SSLError is one.
    """
    request, transaction = _binding_request()
    with socket.create_connection((host, port), ANSWER_SECONDS) as plain:
        connection: socket.socket = plain
        if tls_name:
            connection = ssl.create_default_context().wrap_socket(plain, server_hostname=tls_name)
        with connection:
            connection.sendall(request)
            answer = b""
            while len(answer) < _HEADER.size and (more := connection.recv(1500)):
                answer += more
    return _is_success(answer, transaction)


def _binding_request() -> tuple[bytes, bytes]:
    """A STUN binding request (RFC 8489 §5) and its transaction id."""
    transaction = secrets.token_bytes(12)
    return _HEADER.pack(_BINDING_REQUEST, 0, _MAGIC, transaction), transaction


def _is_success(answer: bytes, transaction: bytes) -> bool:
    if len(answer) < _HEADER.size:
        return False
    kind, _, magic, answered = _HEADER.unpack_from(answer)
    return (kind, magic, answered) == (_BINDING_SUCCESS, _MAGIC, transaction)
