"""The control socket: how the operator's commands ask the running server.

A Unix socket that only the server's own user (and root) may open; one JSON object a line each way::

    {"command": "status"}                                   the numbers of the server
    {"command": "remove-account", "username": "alice"}      what was removed
    {"command": "drain"} · {"command": "reload"}            what was done

An answer with the key `error` is a refusal in one sentence; `control_messages` has all of them. `control_server` is
the server's end.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

ANSWER_SECONDS: Final = 10.0
_LARGEST: Final = 64 * 1024


class ControlError(Exception):
    """The running server did not do it; `str()` is a sentence for the operator."""


class NoServerError(ControlError):
    """No server answers at the control socket."""


def ask(path: Path, command: Mapping[str, Any], timeout: float = ANSWER_SECONDS) -> dict[str, Any]:
    """Ask the running server.

    Args:
        path: the control socket.
        command: an object with the key `command`.
        timeout: seconds to wait for each step.

    Raises:
        NoServerError: no server answers there.
        ControlError: it refuses, it takes too long, or this user may not ask.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            with reachable(path) as short:
                connection.connect(short)
            connection.sendall(json.dumps(dict(command)).encode() + b"\n")
            with connection.makefile("rb") as reader:
                line = reader.readline(_LARGEST)
    except (FileNotFoundError, ConnectionRefusedError):
        raise NoServerError(f"No server is running: nobody answers at {path}.") from None
    except PermissionError:
        raise ControlError(f"Only the server's own user and root may ask it at {path}.") from None
    except TimeoutError:
        raise ControlError(f"The server does not answer at {path} within {timeout:.0f} s.") from None
    except OSError as error:
        raise ControlError(f"{path} cannot be asked: {error.strerror or error}.") from None
    try:
        answer = json.loads(line)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ControlError(f"What answers at {path} is no signaling server.")
    if "error" in answer:
        raise ControlError(str(answer["error"]))
    return answer


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
