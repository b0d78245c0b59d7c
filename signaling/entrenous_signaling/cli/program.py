"""The program: all commands under one name, and what its exit codes say."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final, NamedTuple

import click

from entrenous_signaling.operator_errors import OperatorError


class _Command(NamedTuple):
    """Where a command is, and what the list of all says of it."""

    module: str
    name: str
    about: str


_COMMANDS: Final = {
    "calls": _Command("records", "calls", "Print or export the call records."),
    "check": _Command("checking", "check", "Say whether the server can run, and what is in its way."),
    "init": _Command("setup", "init", "Write the configuration of a new server, and its secrets."),
    "invite": _Command("inviting", "invite", "Mint codes that let one person register each."),
    "serve": _Command("serving", "serve_command", "Run the server."),
    "status": _Command("running", "status", "Say how the running server is."),
    "turn-config": _Command("relay", "turn_config", "Make the configuration of a relay (coturn)."),
    "turn-secret": _Command("relay", "turn_secret", "Make or change the secret of the relay."),
    "users": _Command("accounts", "users", "Count the accounts, or remove one."),
}


class _Program(click.Group):
    """Loads a command when it is asked for: none needs what all of them together need."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        found = _COMMANDS.get(cmd_name)
        if found is None:
            return None
        command: click.Command = getattr(import_module(f".{found.module}", __package__), found.name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What `--help` lists."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.about) for name, command in _COMMANDS.items()])


_EXIT_CODES: Final = """\b
Exit codes:
  0  done; of `check`: no errors
  1  it could not be done; of `status`: no server runs; of `check` and `turn-config --check`: something is wrong
  2  wrong options, or a configuration that cannot be used
"""


@click.group(cls=_Program, epilog=_EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
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


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits with 0, with 2 when an option or the configuration is wrong, with 1 otherwise."""
    try:
        commands.main(args=arguments, prog_name="entrenous-signaling")
    except OperatorError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
