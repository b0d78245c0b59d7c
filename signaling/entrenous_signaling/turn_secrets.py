"""The file with the relay's secrets: one in use, and a second one while they change over.

The first line is what credentials are minted with; the relay accepts every line. So neither side ever meets a secret
that the other does not know, if the steps are taken in this order::

    add        the new secret stands in the second line; give the file to the relay
    switch     it moves to the first line; give the file to the signaling server
    retire     ten minutes later the old one goes; give the file to the relay
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Final

from .private_files import read_private_lines, staged

_SECRET: Final = re.compile(r"[A-Za-z0-9._~+/-][A-Za-z0-9._~+/=-]{21,127}")
"""What coturn takes as it stands (it skips a leading =), and nobody finds out from one set of credentials."""

_NEW_BYTES: Final = 32
_MOST: Final = 2


def read_secrets(path: Path) -> tuple[str, ...]:
    """Read the secrets, the one to mint with first.

    Raises:
        ValueError: the file cannot be read, others may read it, or what it holds is not one or two secrets; the message
            is a sentence for the operator and holds no part of a secret.
    """
    lines = read_private_lines(path)
    if not lines:
        raise ValueError(f"{path} is empty: make a secret with `entrenous-signaling turn-secret add {path}`.")
    if len(lines) > _MOST or len(set(lines)) != len(lines):
        raise ValueError(f"{path} may hold one secret, or two different ones during a change-over, one a line.")
    for number, line in enumerate(lines, 1):
        if not _SECRET.fullmatch(line):
            raise ValueError(
                f"{path}: secret {number} must have 22 to 128 letters, digits or ._~+/=-: whoever has credentials can "
                f"try out shorter ones. `entrenous-signaling turn-secret add FILE` makes good ones."
            )
    return tuple(lines)


def add_secret(path: Path) -> None:
    """Make a new secret: the only one of a new file, the second one of a file that has one.

    Raises:
        ValueError: there are two already, or the file cannot be used.
    """
    known = read_secrets(path) if path.exists() else ()
    if len(known) == _MOST:
        raise ValueError(f"{path} is in the middle of a change-over: finish it (switch, retire) first.")
    _write(path, (*known, secrets.token_urlsafe(_NEW_BYTES)))


def switch_secrets(path: Path) -> None:
    """Mint with the other one of two secrets from now on.

    Raises:
        ValueError: there are not two, or the file cannot be used.
    """
    first, second = _both(path, "switch to")
    _write(path, (second, first))


def retire_secret(path: Path) -> None:
    """Take away the second of two secrets, which is not minted with.

    Raises:
        ValueError: there are not two, or the file cannot be used.
    """
    first, _ = _both(path, "retire")
    _write(path, (first,))


def _both(path: Path, verb: str) -> tuple[str, str]:
    known = read_secrets(path)
    if len(known) != _MOST:
        raise ValueError(
            f"{path} holds one secret only, there is none to {verb}: `turn-secret add` makes a second one."
        )
    return known[0], known[1]


def _write(path: Path, lines: tuple[str, ...]) -> None:
    """Put a new file in place of the old one, with the owner and the rights of that."""
    try:
        old = path.stat() if path.exists() else None
        with staged(path, like=old) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror}.") from None
