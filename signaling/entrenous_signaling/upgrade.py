"""The handshake with which an HTTP request becomes a WebSocket (RFC 6455 4.2)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from email.utils import formatdate
from typing import Final

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES: Final = 16
_VERSION: Final = "13"


class NoUpgrade(Exception):  # noqa: N818 - names what it is
    """The request does not ask for a WebSocket, or not in the way of RFC 6455."""


def accept_key(headers: Mapping[str, str]) -> str:
    """What proves to a client that its request for a WebSocket was understood.

    Args:
        headers: of the request; their names in any case.

    Raises:
        NoUpgrade: it is no such request.
    """
    key = headers.get("Sec-WebSocket-Key", "")
    try:
        is_key = len(base64.b64decode(key, validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        is_key = False
    if not (
        is_key
        and "websocket" in _words(headers, "Upgrade")
        and "upgrade" in _words(headers, "Connection")
        and headers.get("Sec-WebSocket-Version") == _VERSION
    ):
        raise NoUpgrade
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


def offers(headers: Mapping[str, str], subprotocol: str) -> bool:
    """Whether the client speaks it."""
    return subprotocol in headers.get("Sec-WebSocket-Protocol", "").replace(" ", "").split(",")


def answer(accept: str, subprotocol: str | None, now: float) -> bytes:
    """The head of the response, behind which frames follow; no extension is accepted.

    Args:
        accept: of `accept_key`.
        subprotocol: that is spoken from now on.
        now: Unix seconds: whoever's clock is wrong finds that out by the date.
    """
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept}",
        f"Date: {formatdate(now, usegmt=True)}",
    ]
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    return "\r\n".join([*lines, "", ""]).encode()


def _words(headers: Mapping[str, str], name: str) -> list[str]:
    """The values of a list in a header, in small letters."""
    return [word.strip().lower() for word in headers.get(name, "").split(",")]
