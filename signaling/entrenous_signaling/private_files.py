"""Files with one secret each that the server alone may read: its own, that of its cluster, passwords."""

from __future__ import annotations

import re
import secrets
import stat
from pathlib import Path
from typing import Final

from .turn_files import write

_BYTES: Final = 32
_HEX: Final = re.compile(rf"[0-9a-f]{{{2 * _BYTES}}}")
_OTHERS: Final = stat.S_IRWXO


def read_private(path: Path) -> str:
    """Read the one line of a private file.

    Raises:
        ValueError: it cannot be read, everybody may read or write it, or it is not one line; the message is a sentence
            for the operator and holds no part of the secret.
    """
    try:
        if path.stat().st_mode & _OTHERS:
            raise ValueError(f"Everybody may use {path}: do `chmod 600` and choose a new secret.")
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} holds no text.") from None
    if not text or not text.isprintable():
        raise ValueError(f"{path} must hold one line with the secret.")
    return text


def make_secret(path: Path, *, replace: bool = False) -> None:
    """Write a new secret of the server, or of its cluster, into a file with mode 0600.

    Raises:
        ValueError: there is a file and it may not be replaced, or it cannot be written.
    """
    write(path, f"{secrets.token_hex(_BYTES)}\n", replace=replace)


def read_message_secret(path: Path) -> bytes:
    """Read the server's own secret, 32 bytes.

    Raises:
        ValueError: as `read_private`, or what it holds is no such secret.
    """
    return _read_secret(path, "remove it, and the server makes one when it starts")


def read_cluster_secret(path: Path) -> bytes:
    """Read the secret that the nodes of a cluster share, 32 bytes.

    Raises:
        ValueError: as `read_private`, or what it holds is no such secret.
    """
    return _read_secret(path, "copy it from another node, or let `init --nats` make the first one")


def ensure_message_secret(path: Path) -> bytes:
    """Read the server's own secret; make it, and the folder around it, when there is none yet.

    Raises:
        ValueError: as `read_message_secret`, or it cannot be written.
    """
    if not path.exists():
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"{path.parent} cannot be made: {error.strerror}.") from None
        make_secret(path)
    return read_message_secret(path)


def _read_secret(path: Path, advice: str) -> bytes:
    text = read_private(path)
    if not _HEX.fullmatch(text):
        raise ValueError(f"{path} must hold {2 * _BYTES} hexadecimal digits: {advice}.")
    return bytes.fromhex(text)
