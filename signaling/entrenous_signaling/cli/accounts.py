"""`users`: how many accounts there are, and taking one away."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import assert_never

import click
import msgspec
from click.core import ParameterSource

from entrenous_signaling.config import ServerConfig
from entrenous_signaling.control import ControlError, NoServerError, ask
from entrenous_signaling.control_messages import AccountRemoved, RemoveAccountNow
from entrenous_signaling.store.database import count, remove
from entrenous_signaling.store.place import existing_databases
from entrenous_signaling.store.requests import Removed
from entrenous_signaling.store.writer import is_held
from entrenous_wire.addresses import Address, canonical_host

from .common import acting_as_owner, configured, counted, place_options

_json_option = click.option("--json", "as_json", is_flag=True, help="As one JSON object.")


@click.group(invoke_without_command=True)
@place_options
@_json_option
@click.pass_context
def users(context: click.Context, config: Path | None, data: str | None, as_json: bool) -> None:
    """Say how many accounts, devices and stored messages there are; `remove` deletes an account.

    There is no list of names here on purpose. The server may be running.

    \b
    entrenous-signaling users
    entrenous-signaling users remove alice
    """
    context.obj = (config, data, as_json)
    if context.invoked_subcommand is None:
        _count(configured(config, data).settings, as_json)


def _count(settings: ServerConfig, as_json: bool) -> None:
    with acting_as_owner(Path(settings.data)):
        totals = count(existing_databases(settings))
    if as_json:
        numbers = {"accounts": totals.accounts, "devices": totals.devices, "messages": totals.messages}
        click.echo(json.dumps(numbers))
    else:
        click.echo(
            f"{counted(totals.accounts, 'account')} with {counted(totals.devices, 'device')}; "
            f"{counted(totals.messages, 'message')} stored for devices that are offline."
        )


@users.command(name="remove")
@click.argument("name")
@place_options
@_json_option
@click.pass_context
def remove_command(context: click.Context, name: str, config: Path | None, data: str | None, as_json: bool) -> None:
    """Delete the account NAME with its devices, prekeys and stored messages, at once.

    Its sessions end, and its name is free again. What other devices have of it (contacts, calls) stays with them.
    """
    before: tuple[Path | None, str | None, bool] = context.obj  # options may stand before `remove` too
    if context.get_parameter_source("config") is not ParameterSource.COMMANDLINE:
        config = before[0]  # where the environment's is too
    settings = configured(config, data or before[1]).settings
    as_json = as_json or before[2]
    username = _username(name, settings)
    gone = _remove(settings, username)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(gone)))
        return
    parts = [counted(gone.devices, "device"), counted(gone.prekeys, "prekey")]
    parts.append(counted(gone.messages, "stored message"))
    match gone:
        case AccountRemoved(sessions=sessions):
            ended = f"{counted(sessions, 'session')} ended."
        case Removed():
            ended = "No server is running."
        case _:
            assert_never(gone)
    click.echo(f"{username} is deleted, with {', '.join(parts[:-1])} and {parts[-1]}. {ended}")


def _username(name: str, settings: ServerConfig) -> str:
    """The name of an account, given as such or as its address.

    Raises:
        UsageError: it is none, or one of another server.
    """
    user, at, host = name.lower().partition("@")
    try:
        address = Address.parse(f"{user}@{host}" if at else f"{user}@example.org")
        if at and settings.name and address.host != canonical_host(settings.name):
            raise click.UsageError(f"{address} is of another server: this server is {settings.name}.")
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return address.user


def _remove(settings: ServerConfig, username: str) -> AccountRemoved | Removed:
    """Through the running server, which ends the sessions too; on the database itself when none runs here."""
    try:
        return ask(settings.control_path, RemoveAccountNow(username), AccountRemoved)
    except NoServerError:
        if is_held(Path(settings.data)):
            raise ControlError(
                f"A server uses {settings.data} and does not answer at {settings.control_path}: its sessions could not "
                "be ended. Stop it, or name its --config."
            ) from None
        os.umask(0o077)
        with acting_as_owner(Path(settings.data)):
            removed = remove(existing_databases(settings), username)
    if removed is None:
        raise ControlError(f"There is no account {username}.")
    return removed
