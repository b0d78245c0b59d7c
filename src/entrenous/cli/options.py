"""Options that several commands share, and the configuration that comes out of them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click
import platformdirs

from entrenous import Address, ConfigError, KeystoreError, MediaConfig, NodeConfig

from .output import Output

Command = TypeVar("Command", bound=Callable[..., Any])

NODE_FILE = "node.toml"


def default_profile() -> Path:
    """The folder of keys and contacts where nobody names another."""
    return Path(platformdirs.user_data_dir("entrenous"))


def json_option(command: Command) -> Command:
    """Add `--json`; it switches the command's Output, so the command itself never looks at it."""

    def switch(context: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            context.ensure_object(Output).as_json = True

    return click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=switch,
        help="Write JSON for a script instead of text.",
    )(command)


def profile_option(command: Command) -> Command:
    """Add `--profile DIR`."""
    return click.option(
        "--profile",
        type=click.Path(file_okay=False, path_type=Path),
        default=default_profile,
        show_default="your data folder",
        envvar="ENTRENOUS_PROFILE",
        show_envvar=True,
        help="The folder of your keys and contacts.",
    )(command)


def passphrase_option(command: Command) -> Command:
    """Add `--passphrase-file FILE`."""
    return click.option(
        "--passphrase-file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Read the passphrase from the first line of FILE. Otherwise it comes from ENTRENOUS_PASSPHRASE, or is "
        "asked for.",
        metavar="FILE",
    )(command)


def server_options(command: Command) -> Command:
    """Add `--server URL` and `--ca-file FILE`."""
    decorators = (
        click.option(
            "--server",
            metavar="URL",
            help="The signaling server: host[:port], wss://host[:port], or ws:// to this machine itself "
            "(calls then stay on it). By default the host of your address.",
        ),
        click.option(
            "--ca-file",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Trust the certificate authorities in this PEM file instead of the system's.",
        ),
    )
    return functools.reduce(lambda wrapped, decorate: decorate(wrapped), reversed(decorators), command)


def address_argument(command: Command) -> Command:
    """Add the argument ADDRESS, `user@host[:port]`."""

    def parse(context: click.Context, parameter: click.Parameter, text: str) -> Address:
        try:
            return Address.parse(text)
        except ValueError as error:
            raise click.BadParameter(str(error), context, parameter) from None

    return click.argument("address", callback=parse)(command)


def new_config(
    address: Address, *, profile: Path, server: str | None, ca_file: Path | None, invite: str | None
) -> NodeConfig:
    """The configuration of an account that is about to be registered; raises ConfigError."""
    server = server or address.host
    return _reachable(NodeConfig(server=server, profile=profile, username=address.user, invite=invite, ca_file=ca_file))


def in_memory_config(server: str, username: str, *, ca_file: Path | None, invite: str | None) -> NodeConfig:
    """The configuration of an account that lives as long as the process; raises ConfigError."""
    return _reachable(NodeConfig(server=server, username=username, invite=invite, ca_file=ca_file))


def _reachable(config: NodeConfig) -> NodeConfig:
    """A server that is spoken to without TLS runs on this machine, so calls may stay within it."""
    return replace(config, loopback_only=config.loopback_only or config.url.startswith("ws://"))


def save_config(config: NodeConfig, profile: Path) -> None:
    """Remember in the profile's folder, next to the keys, how the account's server is reached.

    Raises:
        ConfigError: the file cannot be written.
    """
    lines = [f"server = {json.dumps(config.url)}", 'profile = "."']
    if config.ca_file is not None:
        lines.append(f"ca_file = {json.dumps(str(config.ca_file.absolute()), ensure_ascii=False)}")
    if config.loopback_only:
        lines.append("loopback_only = true")
    path = profile / NODE_FILE
    try:
        path.write_text("\n".join((*lines, "")), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"Cannot write {path}: {error.strerror}.") from None


def load_config(profile: Path, *, server: str | None = None, ca_file: Path | None = None) -> NodeConfig:
    """The configuration that `register` left in the profile's folder, with what the command line says instead.

    Where the file is gone, naming the server is enough.

    Raises:
        KeystoreError: there is no account.
        ConfigError: the file cannot be read or used.
    """
    path = profile / NODE_FILE
    if not path.exists() and server is not None:
        return _reachable(NodeConfig(server=server, profile=profile, ca_file=ca_file))
    if not path.exists():
        raise KeystoreError(
            f"There is no account in {profile}. Create one: entrenous register you@calls.example.org"
            f"{'' if profile == default_profile() else f' --profile {profile}'}"
        )
    config = NodeConfig.load(path)
    if server is not None:
        config = _reachable(replace(config, server=server))
    return replace(config, ca_file=ca_file) if ca_file is not None else config


def load_media(profile: Path) -> MediaConfig:
    """What the account in a folder is to use of this machine; the defaults where there is none. Raises ConfigError."""
    try:
        return load_config(profile).media
    except KeystoreError:
        return MediaConfig()
