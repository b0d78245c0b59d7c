"""`entrenous-signaling`: serve, print the call records, mint invite codes."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import secrets
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from entrenous_wire.messages import RegistrationPolicy

from . import logs
from .app import Listening, serve
from .auth import hash_invite
from .config import DEFAULT_LISTEN, ConfigError, ServerConfig
from .listeners import ServeError
from .store.database import Databases, StoreError, add_invites, read_records

_DATA: Final = "entrenous-signaling-data"
_CODE_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # without what looks alike
_CODE_LENGTH: Final = 20


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


@commands.command(name="serve")
@click.option("--config", type=click.Path(path_type=Path), help="A TOML file; the options below go before it.")
@click.option(
    "--listen", metavar="HOST:PORT", help=f"Where nodes connect; port 0 takes a free one.  [{DEFAULT_LISTEN}]"
)
@click.option("--name", metavar="HOST[:PORT]", help="The public name, the part behind the @ of addresses.")
@click.option("--data", metavar="DIR", help=f"The directory of the databases.  [{_DATA}]")
@click.option(
    "--registration",
    type=click.Choice([policy.value for policy in RegistrationPolicy]),
    help="Who may register: anybody, who has a code (see `invite`), nobody.  [open]",
)
@click.option("--tls-cert", metavar="PEM", help="The certificate chain.")
@click.option("--tls-key", metavar="PEM", help="The key of the certificate.")
@click.option("--insecure-loopback", is_flag=True, help="No TLS, on a loopback address: for tests, or behind a proxy.")
@click.option("--turn-url", "turn_urls", multiple=True, metavar="URL", help="A TURN relay to lend; may be repeated.")
@click.option("--turn-secret-file", metavar="FILE", help="Holds coturn's static-auth-secret.")
@click.option("--admin-listen", metavar="HOST:PORT", help="Where /metrics and /healthz are; nowhere unless given.")
@click.option("--json", "as_json", is_flag=True, help="Say where it listens as one line of JSON.")
def serve_command(config: Path | None, as_json: bool, **options: Any) -> None:
    """Run the server until SIGTERM or Ctrl-C.

    SIGTERM ends it in order: nodes are told to come back, and what was to be stored is stored. A server that is
    killed loses nothing either: nodes say again what was not delivered, and claim their calls when it is back.
    """
    os.umask(0o077)
    logs.configure()
    _run(ServerConfig.load(config, options), _announce_json if as_json else _announce)


@commands.command()
@click.option("--data", default=_DATA, show_default=True, type=click.Path(path_type=Path), help="The data directory.")
@click.option("--json", "as_json", is_flag=True, help="One object a line: start, duration.")
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated, with a header.")
def calls(data: Path, as_json: bool, as_csv: bool) -> None:
    """Print the call records: all that the server keeps of calls. The server may be running."""
    rows = [(_utc(start), duration) for start, duration in read_records(Databases(data))]
    if as_json:
        for start, duration in rows:
            click.echo(json.dumps({"start": start, "duration": duration}))
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(("start", "duration"))
        writer.writerows(rows)
    else:
        click.echo("start (UTC)           duration (s)")
        for start, duration in rows:
            click.echo(f"{start}  {duration:12d}")


@commands.command()
@click.option("--data", default=_DATA, show_default=True, type=click.Path(path_type=Path), help="The data directory.")
@click.option("--count", default=1, show_default=True, type=click.IntRange(1, 1000), help="How many codes.")
def invite(data: Path, count: int) -> None:
    """Mint codes that let one person register each, for a server with --registration invite.

    Only hashes of them are kept: hand the codes over now. The server may be running.
    """
    if not data.is_dir():
        raise StoreError(f"There is no directory {data}: start the server once, or name its --data.")
    os.umask(0o077)
    codes = ["".join(secrets.choice(_CODE_ALPHABET) for _ in range(_CODE_LENGTH)) for _ in range(count)]
    add_invites(Databases(data), [hash_invite(code) for code in codes])
    for code in codes:
        click.echo(code)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits with 0, with 2 when an option is wrong, with 1 when something else is."""
    try:
        commands.main(args=arguments, prog_name="entrenous-signaling")
    except ConfigError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except (ServeError, StoreError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)


def _run(config: ServerConfig, announce: Callable[[Listening], None]) -> None:
    try:
        import uvloop
    except ImportError:  # Windows has none
        new_loop = None
    else:
        new_loop = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve(config, announce))


def _announce(at: Listening) -> None:
    click.echo(f"Nodes connect to {at.url}; addresses are user@{at.name}.")
    if at.admin is not None:
        click.echo(f"Metrics are on http://{at.admin}/metrics.")
    sys.stdout.flush()


def _announce_json(at: Listening) -> None:
    click.echo(json.dumps({"listening": at.listening, "url": at.url, "name": at.name, "admin": at.admin}))
    sys.stdout.flush()


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
