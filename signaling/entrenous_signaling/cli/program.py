"""The program: all commands under one name, and what its exit codes say."""

from __future__ import annotations

import sys

import click

from entrenous_signaling.call_export import ExportError
from entrenous_signaling.config import ConfigError
from entrenous_signaling.control import ControlError
from entrenous_signaling.listeners import ServeError
from entrenous_signaling.store.database import StoreError
from entrenous_signaling.turn_files import FileDiffersError

from .accounts import users
from .checking import check
from .inviting import invite
from .records import calls
from .relay import turn_config, turn_secret
from .running import status
from .serving import serve_command
from .setup import init


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="entrenous")
def commands() -> None:
    """The signaling server of entrenous: it tells nodes apart and carries sealed messages between them.

    It sees who is registered and which device sends how much to which other one while it does so. It keeps of a call
    its start and its duration, and nothing else.

    \b
    Try it on this machine:   entrenous-signaling serve --insecure-loopback
    For the world:            entrenous-signaling serve --listen 0.0.0.0:443 --name calls.example.org \\
                                --tls-cert fullchain.pem --tls-key privkey.pem --data /var/lib/entrenous-signaling
    """


for _command in (init, check, serve_command, status, users, invite, calls, turn_config, turn_secret):
    commands.add_command(_command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits with 0, with 2 when an option is wrong, with 1 when something else is."""
    try:
        commands.main(args=arguments, prog_name="entrenous-signaling")
    except ConfigError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except (ControlError, ExportError, FileDiffersError, ServeError, StoreError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
