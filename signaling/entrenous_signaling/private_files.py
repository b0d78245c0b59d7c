"""Files that their owner alone may read: written as a whole or not at all, and not believed when others could use them.

In them are the server's own secret and that of its cluster, the passwords of its database and its bus, the relay's
secrets and configuration, exported call records.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_BYTES: Final = 32
_HEX: Final = re.compile(rf"[0-9a-f]{{{2 * _BYTES}}}")


def everybody_may_use(path: Path) -> bool:
    """Whether a file may be read, changed or run by users that are neither its owner nor of its group.

    Raises:
        OSError: it cannot be looked at.
    """
    return bool(path.stat().st_mode & stat.S_IRWXO)


def read_private_lines(path: Path) -> list[str]:
    """Read the lines of a private file, without those that are blank.

    Raises:
        ValueError: it cannot be read, everybody may use it, or it holds no text; the message is a sentence for the
            operator and holds no part of a secret.
    """
    try:
        if everybody_may_use(path):
            raise ValueError(f"Everybody may use {path}: do `chmod 600` and choose a new secret.")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} holds no text.") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_private(path: Path) -> str:
    """Read the one line of a private file.

    Raises:
        ValueError: as `read_private_lines`, or it is not one line.
    """
    lines = read_private_lines(path)
    if len(lines) != 1 or not lines[0].isprintable():
        raise ValueError(f"{path} must hold one line with the secret.")
    return lines[0]


@contextmanager
def staged(path: Path, *, replace: bool = True, like: os.stat_result | None = None) -> Iterator[Path]:
    """A file to be filled, which takes its place as a whole when the work ends well; otherwise nothing is left of it.

    Args:
        path: where it shall stand.
        replace: whether a file that is there may be replaced.
        like: whose owner and rights it gets; without, only its owner may read it.

    Raises:
        FileExistsError: there is one that may not be replaced.
        OSError: it cannot be written, or what stands there is no plain file.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        # As /dev/stdout does: taking its place would take it from all others.
        raise OSError(errno.EINVAL, "no plain file stands there", str(path))
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    temporary = Path(name)
    try:
        try:
            yield temporary
            os.fsync(handle)  # of what was written through any descriptor: it is of the file
            if like is not None:
                os.fchown(handle, like.st_uid, like.st_gid)
                os.fchmod(handle, stat.S_IMODE(like.st_mode))
        finally:
            os.close(handle)
        if replace:
            temporary.replace(path)
        else:
            path.hardlink_to(temporary)  # unlike a look beforehand, this cannot overwrite
    finally:
        temporary.unlink(missing_ok=True)


def write(path: Path, text: str, *, replace: bool) -> None:
    """Write a file with mode 0600, as a whole or not at all.

    Args:
        path: where to.
        text: what.
        replace: whether a file that is there may be replaced.

    Raises:
        ValueError: there is one, or it cannot be written; the message is a sentence for the operator.
    """
    try:
        with staged(path, replace=replace) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except FileExistsError:
        raise ValueError(f"{path} is there already: --force replaces it.") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror}.") from None


def make_secret(path: Path) -> None:
    """Write a new secret of the server, or of its cluster, into a file with mode 0600.

    Raises:
        ValueError: there is a file already, or it cannot be written.
    """
    write(path, f"{secrets.token_hex(_BYTES)}\n", replace=False)


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
