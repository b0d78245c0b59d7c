"""Listening sockets and TLS, with sentences for the operator when they cannot be had."""

from __future__ import annotations

import socket
from typing import Final

from entrenous_wire.limits import MAX_FRAME_BYTES

from .config import Listen
from .operator_errors import OperatorError

BACKLOG: Final = 1024
"""Connections that may wait to be taken: everybody comes back at once after a restart."""

RECEIVED_BYTES: Final = MAX_FRAME_BYTES
"""What the kernel keeps of what came on a connection and was not read: enough for the largest message, and so much is
read of it in one turn of the loop. The kernel's own bounds are in megabytes."""


class ServeError(OperatorError):
    """The server cannot start; `str()` is a sentence for the operator."""


def bind(at: Listen) -> socket.socket:
    """A listening socket.

    Raises:
        ServeError: the address is none of this machine, or its port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            at.host, at.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise ServeError(f"{at.host} is no address of this machine: {error.strerror}.") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES)  # connections take it over
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ServeError(
            f"Cannot listen on {at}: {error.strerror}. Choose another place with --listen or --admin-listen, or stop "
            "what uses it."
        ) from None
    return listener
