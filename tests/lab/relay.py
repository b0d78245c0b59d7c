"""A TURN server on loopback for tests of relayed paths."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from entrenous.media.settings import IceServer

from .ports import free_port

USER, PASSWORD = "user", "word"

HAS_COTURN = shutil.which("turnserver") is not None


class Relay:
    """A running coturn.

    Args:
        port: where it listens, UDP and TCP.
        process: to be killed when a test wants it dead.
    """

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.process = process

    def server(self, transport: str = "udp") -> IceServer:
        return IceServer(f"turn:127.0.0.1:{self.port}?transport={transport}", USER, PASSWORD)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def running_relay(folder: Path, *more: str) -> Iterator[Relay]:
    """Start coturn on a free port and stop it at the end; it accepts connections when this is entered.

    Args:
        folder: for its files.
        more: further options.
    """
    port = free_port()
    options = (
        "-n --listening-ip=127.0.0.1 --relay-ip=127.0.0.1 --lt-cred-mech --realm=test --no-tls --no-dtls --no-cli "
        f"--allow-loopback-peers --log-file=stdout --listening-port={port} --user={USER}:{PASSWORD} "
        f"--pidfile={folder / 'turn.pid'} --userdb={folder / 'turn.db'}"
    )
    command = ["turnserver", *options.split(), *more]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _await_listening(port)
            yield Relay(port, process)
        finally:
            process.kill()


def _await_listening(port: int) -> None:
    """Wait until it takes TCP connections and answers over UDP, which it begins at different moments."""
    deadline = time.monotonic() + 60.0
    request = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12)  # a STUN binding request (RFC 8489 §5)
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                asking.connect(("127.0.0.1", port))
                asking.settimeout(0.2)
                asking.send(request)
                asking.recv(2048)
            return
        time.sleep(0.02)  # a process that starts has no event to wait for
    raise TimeoutError("coturn did not start")
