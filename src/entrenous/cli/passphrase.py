"""Where the passphrase of the keystore comes from: a file, the environment, or the terminal. Never an option."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from entrenous import ConfigError, NodeConfig, Profile

from .options import load_config

VARIABLE = "ENTRENOUS_PASSPHRASE"


def read_passphrase(file: Path | None, *, confirm: bool = False) -> str:
    """The passphrase, from the first line of `file`, else from the environment, else typed without echo.

    Args:
        file: what `--passphrase-file` named.
        confirm: have it typed twice, because it is a new one.

    Raises:
        ConfigError: the file cannot be read, the passphrase is empty, or there is nobody to ask.
    """
    if file is not None:
        passphrase = _first_line(file)
    elif VARIABLE in os.environ:
        passphrase = os.environ[VARIABLE]
    elif sys.stdin.isatty():
        passphrase = _typed(is_new=confirm)
    else:
        raise ConfigError(
            f"There is no terminal to ask for the passphrase on. Set {VARIABLE}, or use --passphrase-file."
        )
    return _not_empty(passphrase)


def read_new_passphrase(file: Path | None) -> str:
    """The passphrase to change to, from the first line of `file`, else typed twice without echo.

    The environment is not asked: it has the present one.

    Raises:
        ConfigError: the file cannot be read, the passphrase is empty, or there is nobody to ask.
    """
    if file is not None:
        return _not_empty(_first_line(file))
    if not sys.stdin.isatty():
        raise ConfigError("There is no terminal to ask for the new passphrase on: use --new-passphrase-file.")
    return _not_empty(_typed(is_new=True))


def _first_line(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"Cannot read the passphrase from {file}: {reason}.") from None


def _typed(*, is_new: bool) -> str:
    """What is typed without echo, twice when it is new."""
    passphrase: str = click.prompt(
        "New passphrase for your keys" if is_new else "Passphrase",
        hide_input=True,
        confirmation_prompt=is_new,
        err=True,
    )
    return passphrase


def _not_empty(passphrase: str) -> str:
    if not passphrase:
        raise ConfigError(
            "The passphrase is empty: keys at rest need one. To keep keys in memory only, use --in-memory."
        )
    return passphrase


def open_account(
    folder: Path, passphrase_file: Path | None, *, server: str | None = None, ca_file: Path | None = None
) -> tuple[NodeConfig, Profile]:
    """Unlock the account in `folder`; takes about a third of a second, which is what makes guessing dear.

    Raises:
        KeystoreError: there is no account, or it cannot be read.
        WrongPassphrase: that is not its passphrase.
        ConfigError: a setting cannot be used.
    """
    config = load_config(folder, server=server, ca_file=ca_file)
    return config, Profile.open(folder, read_passphrase(passphrase_file))
