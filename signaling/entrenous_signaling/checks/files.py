"""The configuration file and the secrets: readable, and private."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from entrenous_signaling.config import ServerConfig
from entrenous_signaling.private_files import (
    everybody_may_use,
    read_cluster_secret,
    read_message_secret,
    read_private,
)
from entrenous_signaling.turn_secrets import read_secrets

from .findings import Finding, error, ok, warning

_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_NEXT_STEP: Final = (
    "Let it, and the folders above, be readable by the user that runs the server, and look as root or as that user."
)


def check_files(config: ServerConfig, file: Path | None) -> Iterator[Finding]:
    """Look at the configuration file and at each file with a secret.

    Args:
        config: a checked configuration.
        file: where it was read from, if from a file.
    """
    if file is not None:
        yield _configuration(file)
    secrets: list[tuple[str, Path, Callable[[Path], object]]] = []
    if config.secret_file or _may_be_there(config.secret_path):
        secrets.append(("secret_file", config.secret_path, read_message_secret))
    if config.turn_secret_file:
        secrets.append(("turn_secret_file", Path(config.turn_secret_file), read_secrets))
    if config.database_password_file:
        secrets.append(("database_password_file", Path(config.database_password_file), read_private))
    if config.cluster.secret_file:
        secrets.append(("cluster.secret_file", Path(config.cluster.secret_file), read_cluster_secret))
    if config.cluster.credentials_file:
        secrets.append(("cluster.credentials_file", Path(config.cluster.credentials_file), read_private))
    if config.tls_key:
        secrets.append(("tls_key", Path(config.tls_key), _readable_key))
    for key, path, read in secrets:
        yield _secret(key, path, read)


def _may_be_there(path: Path) -> bool:
    """Whether there is a file, as far as this user can tell."""
    try:
        return path.exists()
    except PermissionError:
        return True


def _configuration(file: Path) -> Finding:
    try:
        with file.open("rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
    except OSError as problem:
        return error("configuration", f"{file} cannot be read: {problem.strerror}.", _NEXT_STEP)
    if mode & _OTHERS_WRITE:
        return warning(
            "configuration",
            f"{file} may be changed by others than its owner.",
            f"chmod go-w {file}",
        )
    return ok("configuration", f"{file} is understood.")


def _secret(key: str, path: Path, read: Callable[[Path], object]) -> Finding:
    try:
        missing = not path.exists()
        if not missing:
            read(path)
    except ValueError as problem:
        return error(key, str(problem), f"See to {path}: the user that runs the server reads it, and nobody else.")
    except OSError as problem:
        return error(key, f"{path} cannot be read: {problem.strerror}.", _NEXT_STEP)
    if not missing:
        return ok(key, f"{path} can be read, and not by everybody.")
    if key == "secret_file":
        return ok(key, f"{path} is made at the first start.")
    return error(key, f"There is no {path}.", f"Put it there, or change {key}.")


def _readable_key(path: Path) -> None:
    """Look whether a key can be read here and not everywhere.

    Raises:
        ValueError: everybody may read or change it.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if everybody_may_use(path):
            raise ValueError(f"Everybody may use {path}: do `chmod 600`, and ask for a certificate with a new key.")
        file.read(1)
