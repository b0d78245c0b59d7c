"""The client's side of NATS' protocol, as bytes: what the server says, and what is said to it.

Core NATS without headers (docs.nats.io, "Client Protocol")::

    server   INFO {…} · MSG subject sid [reply] size ⏎ payload · PING · PONG · +OK · -ERR 'why'
    client   CONNECT {…} · SUB subject sid · PUB subject size ⏎ payload · PING · PONG
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from .bus import LARGEST_PAYLOAD, ClusterError

LARGEST_PARCEL: Final = 2 * LARGEST_PAYLOAD
"""Bytes of one message; NATS takes as many by default."""

PING: Final = b"PING\r\n"
PONG: Final = b"PONG\r\n"

_END: Final = b"\r\n"
_LONGEST_LINE: Final = 32 * 1024
"""Bytes; INFO is the longest, and names all servers of a NATS cluster."""
_MSG: Final = b"MSG "
_LONGEST_SIZE: Final = len(str(LARGEST_PARCEL))


class Info(Struct, frozen=True):
    """The first word of a server, as far as it matters here.

    Args:
        tls_required: whether it goes on only over TLS.
        auth_required: whether it lets nobody in who is not known to it.
        max_payload: bytes that a message may have.
    """

    tls_required: bool = False
    auth_required: bool = False
    max_payload: int = LARGEST_PARCEL


class Arrived(Struct, frozen=True, gc=False):
    """A message on a subject that was subscribed to."""

    subject: str
    payload: bytes


class Ping(Struct, frozen=True, gc=False):
    """To be answered with PONG."""


class Pong(Struct, frozen=True, gc=False):
    """Everything that was said before our PING has been read."""


class Refused(Struct, frozen=True, gc=False):
    """The server does not do something, and mostly closes the connection.

    Args:
        why: in its own words, which may name subjects; never to be logged.
    """

    why: str

    @property
    def is_about_credentials(self) -> bool:
        """Whether it does not let this client in at all."""
        return "authorization" in self.why.lower() or "authentication" in self.why.lower()

    @property
    def is_about_permissions(self) -> bool:
        """Whether it does not let this client use a subject."""
        return "permissions violation" in self.why.lower()


Said = Info | Arrived | Ping | Pong | Refused


class Credentials(Struct, frozen=True):
    """Who this client is: a user with a password, or a token."""

    user: str | None = None
    password: str | None = None
    token: str | None = None

    @classmethod
    def parse(cls, line: str) -> Credentials:
        """Read USER:PASSWORD, or a token, which has no colon."""
        user, colon, password = line.partition(":")
        return cls(user=user, password=password) if colon else cls(token=line)

    def __repr__(self) -> str:
        """Without secrets."""
        return f"Credentials(user={self.user!r})"


class Parser:
    """Takes apart what a server says, however it was cut into pieces."""

    def __init__(self) -> None:
        self._buffer = b""
        self._subject = ""
        self._size: int | None = None

    @property
    def is_between(self) -> bool:
        """Whether nothing that came is left."""
        return not self._buffer and self._size is None

    def feed(self, data: bytes) -> list[Said]:
        """Take the next bytes; what they complete.

        Raises:
            ClusterError: this is no NATS server, or its message is too large; nothing more may be fed.
        """
        buffer = self._buffer + data if self._buffer else data
        complete: list[Said] = []
        at = 0
        while True:
            if self._size is not None:
                end = at + self._size
                if len(buffer) < end + len(_END):
                    break
                if buffer[end : end + len(_END)] != _END:
                    raise ClusterError("a message of NATS is not as long as it says")
                said: Said | None = Arrived(self._subject, buffer[at:end])
                self._size = None
            else:
                end = buffer.find(_END, at)
                if end < 0:
                    break
                if buffer.startswith(_MSG, at):  # as nearly all do: to tell words apart takes longer
                    self._begin_message(buffer[at + len(_MSG) : end])
                    said = None
                else:
                    said = self._line(buffer[at:end])
            at = end + len(_END)
            if said is not None:
                complete.append(said)
        self._buffer = buffer[at:]
        if self._size is None and len(self._buffer) > _LONGEST_LINE:
            raise ClusterError("a line of NATS is too long")
        return complete

    def _begin_message(self, words: bytes) -> None:
        """Subject, subscription, a subject to answer on when there is one, and size."""
        parts = words.split(b" ")
        size = parts[-1]
        if not (3 <= len(parts) <= 4 and all(parts) and parts[1].isdigit() and size.isdigit()):
            raise ClusterError("a message of NATS that cannot be read")
        if len(size) > _LONGEST_SIZE or int(size) > LARGEST_PARCEL:
            raise ClusterError("a message of NATS that is too large")
        self._subject, self._size = parts[0].decode("ascii", "replace"), int(size)

    def _line(self, line: bytes) -> Said | None:
        word, _, rest = line.partition(b" ")
        match word.upper():
            case b"MSG":
                self._begin_message(rest)
                return None
            case b"PING":
                return Ping()
            case b"PONG":
                return Pong()
            case b"+OK":
                return None
            case b"-ERR":
                return Refused(rest.decode("utf-8", "replace"))
            case b"INFO":
                try:
                    return msgspec.json.decode(rest, type=Info)
                except msgspec.DecodeError:
                    raise ClusterError("a greeting of NATS that cannot be read") from None
            case _:
                raise ClusterError("this is no NATS server")


def greeting(credentials: Credentials, subjects: Sequence[str], *, tls: bool) -> bytes:
    """CONNECT, a subscription for each subject, an empty message, and a PING: its PONG says that all of it was taken.

    Args:
        credentials: who this client is.
        subjects: to listen on; none has a blank. The empty message goes to the last one: to nobody, but it tells
            whether this client may publish.
        tls: whether this is said over TLS.
    """
    options: dict[str, object] = {
        "verbose": False,
        "pedantic": False,
        "tls_required": tls,
        "name": "entrenous",
        "lang": "python",
        "version": "1",
        "protocol": 1,
        "echo": False,  # what this node says itself does not come back
        "headers": False,
    }
    if credentials.token is not None:
        options["auth_token"] = credentials.token
    if credentials.user is not None:
        options |= {"user": credentials.user, "pass": credentials.password}
    lines = [b"CONNECT " + msgspec.json.encode(options)]
    lines += [f"SUB {subject} {number}".encode() for number, subject in enumerate(subjects, 1)]
    lines.append(b"".join(message(subjects[-1], b"")))
    return _END.join(lines) + PING


def message(subject: str, payload: bytes) -> tuple[bytes, bytes, bytes]:
    """PUB, in pieces that need not be joined."""
    return f"PUB {subject} {len(payload)}\r\n".encode(), payload, _END
