"""`turn-config` and `turn-secret`: the relay that works with the server."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from entrenous_signaling.config import ConfigError, ServerConfig
from entrenous_signaling.private_files import write
from entrenous_signaling.turn_config import render, render_firewall
from entrenous_signaling.turn_files import compare
from entrenous_signaling.turn_secrets import add_secret, read_secrets, retire_secret, switch_secrets

from .common import FILE_NAME, STANDARD_FOLDER, config_option, standard_file

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


@click.command(name="turn-config")
@config_option(f"The TOML file of `serve`, with its [turn] table.  [{STANDARD_FOLDER / FILE_NAME} if it is there]")
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
    entrenous-signaling turn-config --out /etc/entrenous/turnserver.conf
    entrenous-signaling turn-config --nftables --out /etc/nftables.d/entrenous-turn.nft
    """
    if out is not None and check is not None:
        raise click.UsageError("--out and --check are two things to do: one at a time.")
    settings = ServerConfig.read(config or standard_file(), {"turn_secret_file": turn_secret_file})
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


@click.command(name="turn-secret")
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
