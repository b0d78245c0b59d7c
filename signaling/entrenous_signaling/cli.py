"""`entrenous-signaling`: serve, print the call records, mint invite codes, configure the relay."""

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
from .turn_config import render, render_firewall
from .turn_files import FileDiffersError, compare, write
from .turn_secrets import add_secret, read_secrets, retire_secret, switch_secrets

_DATA: Final = "entrenous-signaling-data"
_CODE_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # without what looks alike
_CODE_LENGTH: Final = 20
_MAKE_AGAIN: Final = "Make the relay's configuration again (turn-config --out FILE --force) and restart the relay"
_NEXT_STEP: Final = {
    ("add", 1): "Give it to `serve` and to `turn-config` as --turn-secret-file.",
    ("add", 2): f"{_MAKE_AGAIN}: it then accepts both. After that: turn-secret switch.",
    (
        "switch",
        2,
    ): "Restart the signaling server: it then mints with the other one. Ten minutes later: turn-secret retire.",
    ("retire", 1): f"{_MAKE_AGAIN}: the old one is worth nothing then.",
}


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
@click.option("--turn-secret-file", metavar="FILE", help="Holds the relay's secret (see `turn-secret`).")
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


@commands.command(name="turn-config")
@click.option("--config", type=click.Path(path_type=Path), help="The TOML file of `serve`, with its [turn] table.")
@click.option("--turn-secret-file", metavar="FILE", help="Holds the relay's secret (see `turn-secret`).")
@click.option("--out", type=click.Path(path_type=Path), help="Write the whole, with the secret, for root's eyes only.")
@click.option("--force", is_flag=True, help="Write it in place of a file that is there.")
@click.option("--check", type=click.Path(path_type=Path), help="Say whether this file is what the settings make.")
@click.option("--nftables", is_flag=True, help="The firewall rules that belong to it instead.")
def turn_config(
    config: Path | None, turn_secret_file: str | None, out: Path | None, force: bool, check: Path | None, nftables: bool
) -> None:
    """Make the configuration of a relay (coturn 4.6.1) from the server's own settings.

    Without --out it is shown without the secret. With --check the exit code is 1 when the file is another.

    \b
    entrenous-signaling turn-config --config server.toml --out /etc/entrenous/turnserver.conf
    entrenous-signaling turn-config --config server.toml --nftables --out /etc/nftables.d/entrenous-turn.nft
    """
    if out is not None and check is not None:
        raise click.UsageError("--out and --check are two things to do: one at a time.")
    settings = ServerConfig.read(config, {"turn_secret_file": turn_secret_file})
    with_secret = not nftables and (out is not None or check is not None)
    if with_secret and not settings.turn_secret_file:
        raise click.UsageError("--turn-secret-file is missing: `entrenous-signaling turn-secret add FILE` makes one.")
    try:
        secrets_of_relay = read_secrets(Path(settings.turn_secret_file)) if with_secret else ()
        text = render_firewall(settings.turn) if nftables else render(settings.turn, secrets_of_relay)
        if out is not None:
            write(out, text, replace=force)
            click.echo(f"{out} is written, and only you may read it.")
        elif check is not None:
            compare(check, text)
            click.echo(f"{check} is what the settings make.")
        else:
            click.echo(text, nl=False)
    except ValueError as error:
        raise ConfigError(str(error)) from None


@commands.command(name="turn-secret")
@click.argument("step", type=click.Choice(["add", "switch", "retire"]))
@click.argument("file", type=click.Path(path_type=Path))
def turn_secret(step: str, file: Path) -> None:
    """Make the secret that the server and the relay share, or change it without a refused call.

    \b
    add      make FILE with a secret, or add a second one to it: the relay accepts both
    switch   the server mints with the second one from its next start
    retire   take the one away that is not minted with
    """
    steps = {"add": add_secret, "switch": switch_secrets, "retire": retire_secret}
    try:
        steps[step](file)
        count = len(read_secrets(file))
    except ValueError as error:
        raise ConfigError(str(error)) from None
    click.echo(f"{file} holds {'two secrets' if count > 1 else 'one secret'}. {_NEXT_STEP[step, count]}")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits with 0, with 2 when an option is wrong, with 1 when something else is."""
    try:
        commands.main(args=arguments, prog_name="entrenous-signaling")
    except ConfigError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except (ServeError, StoreError, FileDiffersError) as error:
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
