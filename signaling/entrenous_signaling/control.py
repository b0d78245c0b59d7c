"""The control socket: how the operator's commands ask the running server.

A Unix socket that only the server's own user (and root) may open; one JSON object a line each way, all of which are in
`control_messages`. `control_server` is the server's end.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from .control_messages import AccountRemoved, CertificateReloaded, ControlRequest, DrainBegun, Status
from .operator_errors import OperatorError

ANSWER_SECONDS: Final = 10.0
_LARGEST: Final = 64 * 1024

Answer = TypeVar("Answer", Status, AccountRemoved, DrainBegun, CertificateReloaded)
"""What is answered: a `ControlAnswer`."""


class ControlError(OperatorError):
    """The running server did not do it; `str()` is a sentence for the operator."""


class NoServerError(ControlError):
    """No server answers at the control socket."""


def ask(path: Path, request: ControlRequest, kind: type[Answer], timeout: float = ANSWER_SECONDS) -> Answer:
    """Ask the running server.

    Args:
        path: the control socket.
        request: what to ask.
        kind: what is answered to it, as `control_messages` says.
        timeout: seconds to wait for each step.

    Raises:
        NoServerError: no server answers there.
        ControlError: it refuses, it takes too long, it is of another version, or this user may not ask.
    """
    line = exchange(path, msgspec.json.encode(request), timeout)
    try:
        answer = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise ControlError(f"What answers at {path} is no signaling server.")
    if "error" in answer:
        raise ControlError(str(answer["error"]))
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError:
        raise ControlError(
            f"The server at {path} is of another version than this command: restart it, or use the program that it was "
            "started from."
        ) from None


def exchange(path: Path, line: bytes, timeout: float = ANSWER_SECONDS) -> bytes:
    """Say a line to the running server.

    Args:
        path: the control socket.
        line: without its end.
        timeout: seconds to wait for each step.

    Returns:
        The line that is answered, with its end; shorter when the connection ends before.

    Raises:
        NoServerError: no server answers there.
        ControlError: it takes too long, or this user may not ask.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            with reachable(path) as short:
                connection.connect(short)
            connection.sendall(line + b"\n")
            with connection.makefile("rb") as reader:
                return reader.readline(_LARGEST)
    except (FileNotFoundError, ConnectionRefusedError):
        raise NoServerError(f"No server is running: nobody answers at {path}.") from None
    except PermissionError:
        raise ControlError(f"Only the server's own user and root may ask it at {path}.") from None
    except TimeoutError:
        raise ControlError(f"The server does not answer at {path} within {timeout:.0f} s.") from None
    except OSError as error:
        raise ControlError(f"{path} cannot be asked: {error.strerror or error}.") from None


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """Name a Unix socket in a way that fits into a socket's address, of at most 107 bytes, however long its path is.

    Only Linux has such a name for it; elsewhere a path that is too long stays so.

    Raises:
        OSError: the directory of the socket cannot be opened.
    """
    if sys.platform != "linux":
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
