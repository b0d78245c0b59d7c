"""Look-ups of names that end: the system's own have no bound in time."""

from __future__ import annotations

import errno
import queue
import socket
import threading
from typing import Final

LOOKUP_SECONDS: Final = 5.0


def look_up(host: str, port: int, kind: socket.SocketKind) -> list[tuple[str, int]]:
    """The places that a name stands for, in the order in which they should be tried.

    Args:
        host: a name or an address.
        port: of each place.
        kind: of the sockets that are to be connected to them.

    Raises:
        OSError: there are none; a TimeoutError when the look-up takes longer than LOOKUP_SECONDS.
        UnicodeError: it is no name.
    """
    found: queue.SimpleQueue[list[tuple[str, int]] | OSError | UnicodeError] = queue.SimpleQueue()

    def ask_the_system() -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=kind)
        except (OSError, UnicodeError) as problem:
            found.put(problem)
        else:
            found.put([(str(address[0]), port) for *_, address in entries])

    threading.Thread(target=ask_the_system, daemon=True).start()
    try:
        places = found.get(timeout=LOOKUP_SECONDS)
    except queue.Empty:
        raise TimeoutError(errno.ETIMEDOUT, "the look-up of its name takes too long") from None
    if isinstance(places, Exception):
        raise places
    return places
