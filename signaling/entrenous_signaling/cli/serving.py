"""`serve`: run the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from entrenous_signaling import logs
from entrenous_signaling.app import Listening, serve
from entrenous_signaling.config import DEFAULT_DATA, DEFAULT_LISTEN, ServerConfig
from entrenous_signaling.private_memory import keep_memory_private
from entrenous_wire.messages import RegistrationPolicy

from .common import config_option


@click.command(name="serve")
@config_option("A TOML file (see `init`); the options below go before it.")
@click.option(
    "--listen", metavar="HOST:PORT", help=f"Where nodes connect; port 0 takes a free one.  [{DEFAULT_LISTEN}]"
)
@click.option("--name", metavar="HOST[:PORT]", help="The public name, the part behind the @ of addresses.")
@click.option("--data", metavar="DIR", help=f"The directory of the databases.  [{DEFAULT_DATA}]")
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
    _raise_file_limit()
    settings = ServerConfig.load(config, options)
    logs.configure(settings.log)
    _run(settings, _announce_json if as_json else _announce)


def _raise_file_limit() -> None:
    """Take as many open files as this process may have: each connection needs one, and shells start with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # a system may have a bound that is not in the hard limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _run(config: ServerConfig, announce: Callable[[Listening], None]) -> None:
    keep_memory_private()
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
