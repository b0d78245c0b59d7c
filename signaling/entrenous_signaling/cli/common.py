"""What several commands share: which configuration they mean."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from entrenous_signaling.config import ConfigError, ServerConfig

STANDARD_FOLDER: Final = Path("/etc/entrenous-signaling")
FILE_NAME: Final = "server.toml"
CONFIG_VARIABLE: Final = "ENTRENOUS_SIGNALING_CONFIG"

Command = Callable[..., Any]


def config_option(text: str) -> Callable[[Command], Command]:
    """The option `--config FILE`, which the environment may give too."""
    return click.option(
        "--config", type=click.Path(path_type=Path), envvar=CONFIG_VARIABLE, show_envvar=True, metavar="FILE", help=text
    )


def place_options(command: Command) -> Command:
    """Add `--config` and `--data` to a command about a server that is there; see `configured`."""
    data = click.option("--data", metavar="DIR", help="The data directory, in place of what the file says.")
    standard = STANDARD_FOLDER / FILE_NAME
    return config_option(f"The server's TOML file.  [{standard} if it is there, unless --data is given]")(data(command))


@dataclass(frozen=True, slots=True)
class Configured:
    """The configuration of the server that a command is about.

    Args:
        settings: read, and not checked as a whole.
        file: where it was read from, if from a file.
    """

    settings: ServerConfig
    file: Path | None


def configured(config: Path | None, data: str | None) -> Configured:
    """The configuration of the server that a command is about.

    Args:
        config, data: what was given on the command line; the standard file when neither was, if it is there.

    Raises:
        ConfigError: it cannot be read, or a field is of another type than it must be.
    """
    if config is None and data is None:
        config = standard_file()
    return Configured(ServerConfig.read(config, {"data": data}), config)


def standard_file() -> Path | None:
    """The file that is meant when none is named, if it is there; raises ConfigError when that cannot be seen."""
    standard = STANDARD_FOLDER / FILE_NAME
    try:
        return standard if standard.is_file() else None
    except OSError as error:
        raise ConfigError(
            f"{standard} cannot be read: {error.strerror}. Ask as root or as the server's user."
        ) from None


@contextmanager
def acting_as_owner(folder: Path) -> Iterator[None]:
    """Within it root is who the data belong to, which is who runs the server.

    A database that root makes could not be written by the server; what root can read, the server may not; and
    PostgreSQL on the same machine knows who asks by the user.

    Args:
        folder: the data directory; nothing changes when it is not there, or when another user than root asks.
    """
    try:
        owner = folder.stat()
    except OSError:
        owner = None
    if owner is None or owner.st_uid == 0 or os.geteuid() != 0:
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    os.setgroups(_groups_of(owner.st_uid, owner.st_gid))
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def _groups_of(user: int, group: int) -> list[int]:
    """All groups of a user, as who starts the server gives it; one that no file of users names has its own alone."""
    try:
        return os.getgrouplist(pwd.getpwuid(user).pw_name, group)
    except KeyError:
        return [group]


def counted(count: int, what: str) -> str:
    """A number of things in words: 1 device, 2 devices."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
