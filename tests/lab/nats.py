"""A real nats-server on loopback that asks for a password, and can be killed, frozen and started again."""

from __future__ import annotations

import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from .ports import free_port

USER = "node"
_START_SECONDS = 60.0


def find_program() -> str | None:
    """The program, which Debian puts where not everybody looks, or None when it is not installed."""
    return shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin:/usr/local/sbin")


needs_nats = pytest.mark.skipif(find_program() is None, reason="nats-server is not installed")


class NatsServer:
    """A server; it starts on the same port each time.

    Args:
        folder: for its configuration, its log and the file with the credentials of its one user.
        tls: PEM files of its certificate and key; without, it speaks no TLS.
        prefix: the user may publish and subscribe below this word.
        more: further lines of its configuration.
    """

    def __init__(
        self, folder: Path, tls: tuple[Path, Path] | None = None, prefix: str = "entrenous", more: str = ""
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.scheme = "nats" if tls is None else "tls"
        self.credentials_file = folder / "nats-credentials"
        password = secrets.token_hex(16)
        self.credentials_file.touch(mode=0o600)
        self.credentials_file.write_text(f"{USER}:{password}\n")
        secure = "" if tls is None else f'tls {{ cert_file: "{tls[0]}", key_file: "{tls[1]}" }}\n'
        may = f'permissions: {{ publish: "{prefix}.>", subscribe: "{prefix}.>" }}'
        self._config = folder / "nats.conf"
        self._config.write_text(
            f'listen: "127.0.0.1:{self.port}"\n{secure}{more}\n'
            f'authorization {{ users: [ {{ user: "{USER}", password: "{password}", {may} }} ] }}\n'
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is, as the server's configuration says it."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.folder / "nats.log"

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it takes connections; it ends with who has started it."""
        program = find_program()
        assert program is not None
        with self.log.open("ab") as log:
            command = ["setpriv", "--pdeathsig", "KILL", program, "--config", str(self._config)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until = time.monotonic() + _START_SECONDS
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as probe:
                if probe.recv(4) == b"INFO":
                    return
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.02)  # a process that starts has no event to wait for

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone; harmless when it is."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it take what is sent and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


@contextmanager
def running_nats(
    folder: Path, tls: tuple[Path, Path] | None = None, prefix: str = "entrenous", more: str = ""
) -> Iterator[NatsServer]:
    """A server that has started; it is ended afterwards. The arguments are those of `NatsServer`."""
    server = NatsServer(folder, tls, prefix, more)
    try:
        server.start()
        yield server
    finally:
        server.kill()
