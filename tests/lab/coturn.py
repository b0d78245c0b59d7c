"""The relay as an operator would run it: real coturn with the rendered configuration, in a host of the lab."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from entrenous_signaling.turn import Relay, RelayCredentials, mint
from entrenous_signaling.turn_config import render
from entrenous_signaling.turn_settings import TurnSettings

from .certificates import self_signed, write
from .network import Host

SECRET = "the-secret-of-the-relay-in-the-lab"
LAB_NETWORKS = ("198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
"""Public in the lab, special outside: the relay has to be told to allow them as peers."""

_USER = "turnserver"
_START_SECONDS = 60.0

needs_coturn = pytest.mark.skipif(shutil.which("turnserver") is None, reason="coturn's turnserver is not installed")


class Coturn:
    """A running coturn.

    Attributes:
        settings: what it was configured with.
        folder: its working directory, which its user may write to; `said` in it holds what it printed.
        process: of coturn itself.
    """

    def __init__(self, settings: TurnSettings, folder: Path, process: asyncio.subprocess.Process) -> None:
        self.settings = settings
        self.folder = folder
        self.process = process

    @property
    def said(self) -> Path:
        return self.folder / "said"


@asynccontextmanager
async def running_coturn(
    host: Host,
    settings: TurnSettings,
    secrets: Sequence[str] = (SECRET,),
    change: Callable[[str], str] = lambda text: text,
    through: Sequence[object] = (),
) -> AsyncIterator[Coturn]:
    """Run coturn in a host of the lab; it listens when this is entered, and is gone when it is left.

    Args:
        host: where.
        settings: see `lab_settings`.
        secrets: what it accepts.
        change: a last change to the rendered text, for what a test wants to see go wrong.
        through: a command that starts coturn, such as one that takes rights from it.
    """
    folder = Path(tempfile.mkdtemp(prefix="entrenous-coturn-"))
    process: asyncio.subprocess.Process | None = None
    systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        _give_to_relay(folder, 0o750)
        systemd.bind(str(folder / "systemd"))
        systemd.setblocking(False)
        (folder / "systemd").chmod(0o666)
        file = folder / "turnserver.conf"
        file.write_text(change(render(settings, secrets)))
        _give_to_relay(file, 0o640)
        command = ["env", f"NOTIFY_SOCKET={folder / 'systemd'}", *through, "turnserver", "-c", file]
        with (folder / "said").open("wb") as said:
            process = await host.start(*command, cwd=folder, stdout=said, stderr=said)
        await _wait_until_ready(systemd, process)
        yield Coturn(settings, folder, process)
    finally:
        systemd.close()
        if process is not None and process.returncode is None:
            process.terminate()
            await process.wait()
        shutil.rmtree(folder)


def lab_settings(host: Host, folder: Path, **changes: object) -> TurnSettings:
    """Settings of a relay on a host of the lab, IPv4 and IPv6, TLS on 443.

    Args:
        host: where it will run.
        folder: with the certificate that `make_certificate` has put there.
        changes: other fields of `TurnSettings`.
    """
    fields: dict[str, object] = {
        "host": "turn.lab",
        "addresses": (host.ipv4, host.ipv6),
        "tls_cert": str(folder / "cert.pem"),
        "tls_key": str(folder / "key.pem"),
        "allowed_peers": LAB_NETWORKS,
    }
    return TurnSettings(**{**fields, **changes})  # type: ignore[arg-type]  # names and values come from the test


def credentials(age: float = 0.0, secret: str = SECRET) -> RelayCredentials:
    """Credentials as the signaling server mints them, this many seconds ago."""
    return mint(Relay((), secret.encode()), time.time() - age, os.urandom)


def make_certificate(folder: Path, *names: str) -> None:
    """Write `cert.pem`, self-signed for these names and addresses, and `key.pem`, which the relay may read."""
    _, key = write(folder, self_signed(*names))
    _give_to_relay(folder, 0o750)
    _give_to_relay(key, 0o640)


def _give_to_relay(path: Path, mode: int) -> None:
    """Let the user that coturn becomes use a file or a folder."""
    owner = pwd.getpwnam(_USER).pw_uid if path.is_dir() else os.getuid()
    os.chown(path, owner, grp.getgrnam(_USER).gr_gid)
    path.chmod(mode)


async def _wait_until_ready(systemd: socket.socket, process: asyncio.subprocess.Process) -> None:
    """Wait for what coturn tells systemd when it listens."""
    ready = asyncio.create_task(asyncio.get_running_loop().sock_recv(systemd, 1024))
    ended = asyncio.create_task(process.wait())
    try:
        async with asyncio.timeout(_START_SECONDS):
            await asyncio.wait((ready, ended), return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            raise RuntimeError(f"coturn has ended with {process.returncode}")
    finally:
        ready.cancel()
        ended.cancel()
