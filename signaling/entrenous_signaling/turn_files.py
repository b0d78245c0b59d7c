"""Writes what belongs to the relay to private files, as a whole or not at all; compares one with the settings."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_HIDDEN: Final = "static-auth-secret"
_SHOWN: Final = 10


class FileDiffersError(Exception):
    """A file is not what the settings make; `str()` is a sentence and the lines that differ, without secrets."""


@contextmanager
def staged(path: Path, text: str, like: os.stat_result | None = None) -> Iterator[Path]:
    """Write a file beside the place where it shall stand, to be moved there as a whole; what is not moved is removed.

    Args:
        path: where it shall stand.
        text: what is in it.
        like: whose owner and rights it gets; without, only its owner may read it.

    Raises:
        OSError: it cannot be written.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            if like is not None:
                os.fchown(file.fileno(), like.st_uid, like.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(like.st_mode))
        yield temporary
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
        with staged(path, text) as temporary:
            if replace:
                temporary.replace(path)
            else:
                path.hardlink_to(temporary)  # unlike a look beforehand, this cannot overwrite
    except FileExistsError:
        raise ValueError(
            f"{path} is there already: --check compares it with the settings, --force replaces it."
        ) from None
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror}.") from None


def compare(path: Path, text: str) -> None:
    """Compare a file with what the settings make; comments and empty lines do not count, the order does not either.

    Raises:
        FileDiffersError: the directives are others.
        ValueError: the file cannot be read.
    """
    try:
        written = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no configuration of a relay.") from None
    have, want = _directives(written), _directives(text)
    lines = [f"  not from the settings: {_shown(line)}" for line in have if line not in want]
    lines += [f"  missing: {_shown(line)}" for line in want if line not in have]
    if lines:
        more = [] if len(lines) <= _SHOWN else [f"  and {len(lines) - _SHOWN} more"]
        raise FileDiffersError("\n".join([f"{path} is not what the settings make:", *lines[:_SHOWN], *more]))


def _directives(text: str) -> list[str]:
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _shown(line: str) -> str:
    return f"{_HIDDEN}=…" if line.startswith(_HIDDEN) else line
