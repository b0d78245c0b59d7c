"""`init`: a complete configuration with its secrets."""

from __future__ import annotations

import os
import pwd
import socket
import sys
from pathlib import Path
from typing import Any, Final

import click

from entrenous_signaling.config import ConfigError, ServerConfig
from entrenous_signaling.config_file import render
from entrenous_signaling.private_files import make_secret, write
from entrenous_signaling.turn_secrets import add_secret
from entrenous_wire.messages import RegistrationPolicy

from .common import FILE_NAME, STANDARD_FOLDER

USER: Final = "entrenous-signaling"
"""Whom the systemd unit runs the server as."""

_LOOPBACKS: Final = ("127.0.0.1", "::1")


@click.command()
@click.option(
    "--dir", "folder", default=STANDARD_FOLDER, show_default=True, type=click.Path(path_type=Path), metavar="DIR"
)
@click.option(
    "--name",
    callback=lambda ctx, param, given: given or _asked_for_name(ctx, param),
    help="The part behind the @ of addresses.  [asked for on a terminal]",
)
@click.option("--listen", metavar="HOST:PORT", help="Where nodes connect.  [port 443; behind a proxy 127.0.0.1:8443]")
@click.option("--behind-proxy", is_flag=True, help="A proxy on this machine does TLS and passes connections on.")
@click.option("--tls-cert", type=click.Path(path_type=Path), metavar="PEM", help="The chain.  [DIR/tls-cert.pem]")
@click.option("--tls-key", type=click.Path(path_type=Path), metavar="PEM", help="Its key.  [DIR/tls-key.pem]")
@click.option("--data", default="/var/lib/entrenous-signaling", show_default=True, type=click.Path(path_type=Path))
@click.option("--database", metavar="URL", help="postgresql://USER@HOST/NAME in place of SQLite files in the data.")
@click.option("--database-password-file", type=click.Path(path_type=Path), metavar="FILE", help="Its password.")
@click.option(
    "--nats", multiple=True, metavar="URL", help="tls://HOST of the NATS server that nodes share; repeatable."
)
@click.option("--nats-credentials-file", type=click.Path(path_type=Path), metavar="FILE", help="Who a node is to NATS.")
@click.option("--nats-ca-file", type=click.Path(path_type=Path), metavar="PEM", help="The authority behind NATS.")
@click.option("--registration", type=click.Choice([policy.value for policy in RegistrationPolicy]), help="[open]")
@click.option("--admin-listen", default="127.0.0.1:9443", show_default=True, metavar="HOST:PORT", help="For metrics.")
@click.option("--relay", metavar="HOST", help="The public name of a TURN relay (coturn) to be set up with this server.")
@click.option(
    "--relay-address", multiple=True, metavar="IP", help="An address of the relay's machine; may be repeated."
)
@click.option("--owner", metavar="USER", help=f"Who runs the server.  [as root {USER}, where there is such a user]")
@click.option("--force", is_flag=True, help="Replace a configuration that is there; secrets that are there stay.")
def init(folder: Path, owner: str | None, force: bool, **given: Any) -> None:
    """Write the configuration of a new server, with every key explained, and make its secrets.

    \b
    entrenous-signaling init --name calls.example.org
    entrenous-signaling init --name calls.example.org --behind-proxy --registration invite
    """
    file = (folder / FILE_NAME).absolute()
    values = _values(file.parent, **given)
    try:
        ServerConfig.from_values(values).check()
        user = _owner(owner)
        made = _write(file, values, user, force=force)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    except OSError as error:
        raise ConfigError(f"{error.filename or folder} cannot be written: {error.strerror}.") from None
    for line in (*made, "", "Next:", *_next_steps(file, values, user)):
        click.echo(line)


def _asked_for_name(ctx: click.Context, param: click.Parameter) -> str:
    if ctx.resilient_parsing or not sys.stdin.isatty():
        raise click.MissingParameter(ctx=ctx, param=param)
    name: str = click.prompt("Public name of the server")
    return name


def _values(
    folder: Path,
    *,
    name: str,
    listen: str | None,
    behind_proxy: bool,
    tls_cert: Path | None,
    tls_key: Path | None,
    data: Path,
    database: str | None,
    database_password_file: Path | None,
    nats: tuple[str, ...],
    nats_credentials_file: Path | None,
    nats_ca_file: Path | None,
    registration: str | None,
    admin_listen: str,
    relay: str | None,
    relay_address: tuple[str, ...],
) -> dict[str, Any]:
    """The keys that are set in the file."""
    if behind_proxy and (tls_cert or tls_key):
        raise click.UsageError("--behind-proxy and a certificate exclude each other: the proxy has it.")
    if (nats_credentials_file or nats_ca_file) and not nats:
        raise click.UsageError("--nats-credentials-file and --nats-ca-file belong to --nats URL.")
    if relay_address and not relay:
        raise click.UsageError("--relay-address belongs to --relay HOST.")
    values: dict[str, Any] = {"name": name, "data": str(data.absolute())}
    if behind_proxy:
        values |= {"insecure_loopback": True, "trusted_proxies": _LOOPBACKS}
        values["listen"] = listen or "127.0.0.1:8443"
    else:
        everywhere = "[::]" if socket.has_dualstack_ipv6() else "0.0.0.0"
        values["listen"] = listen or f"{everywhere}:443"
        values["tls_cert"] = str((tls_cert or folder / "tls-cert.pem").absolute())
        values["tls_key"] = str((tls_key or folder / "tls-key.pem").absolute())
    values["secret_file"] = str(folder / "message-secret")
    if admin_listen:
        values["admin_listen"] = admin_listen
    if registration:
        values["registration"] = registration
    if database:
        values["database"] = database
    if database_password_file:
        values["database_password_file"] = str(database_password_file.absolute())
    if nats:
        files = {"credentials_file": nats_credentials_file, "ca_file": nats_ca_file}
        given = {key: str(path.absolute()) for key, path in files.items() if path is not None}
        values["cluster"] = {"nats": nats, "secret_file": str(folder / "cluster-secret"), **given}
    if relay:
        values["turn_secret_file"] = str(folder / "turn-secret")
        values["turn"] = {"host": relay, **({"addresses": relay_address} if relay_address else {})}
    return values


def _owner(asked: str | None) -> pwd.struct_passwd | None:
    """Whom the files shall belong to, or None for who makes them.

    Raises:
        ConfigError: there is no such user.
    """
    if asked is None and os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(asked or USER)
    except KeyError:
        if asked is None:
            return None
        raise ConfigError(f"There is no user {asked} on this machine.") from None


def _write(file: Path, values: dict[str, Any], owner: pwd.struct_passwd | None, *, force: bool) -> list[str]:
    """Write the file and make the secrets that are not there; what was done, a line each."""
    folder = file.parent
    is_ours = folder == STANDARD_FOLDER or not folder.exists()  # any other may be full of what belongs to others
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if file.exists() and not force:
        raise ConfigError(f"{file} is there already: --force replaces it, --dir names another folder.")
    secret, turn = Path(values["secret_file"]), values.get("turn_secret_file")
    shared = values.get("cluster", {}).get("secret_file")
    lines = []
    if not secret.exists():
        make_secret(secret)
        lines.append(f"{secret}  the server's own secret")
    if shared is not None and not Path(shared).exists():
        make_secret(Path(shared))
        lines.append(f"{shared}  the secret that the nodes of the cluster share")
    if turn is not None and not Path(turn).exists():
        add_secret(Path(turn))
        lines.append(f"{turn}  the secret that is shared with the relay")
    write(file, render(values), replace=force)
    lines.insert(0, f"{file}  the configuration: every key with its meaning")
    if owner is not None:
        made = [file, secret, *(Path(name) for name in (shared, turn) if name is not None)]
        for path in (folder, *made) if is_ours else made:
            # Whoever may write into the folder could let a link stand there, to any file of the machine.
            os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
        lines.append(f"All of it belongs to {owner.pw_name}, and nobody else may read it.")
    return lines


def _next_steps(file: Path, values: dict[str, Any], owner: pwd.struct_passwd | None) -> list[str]:
    steps = []
    if missing := [values[key] for key in ("tls_cert", "tls_key") if key in values and not Path(values[key]).exists()]:
        whose = f", readable by {owner.pw_name}" if owner is not None else ""
        steps.append(f"put the certificate chain and its key into {' and '.join(missing)}{whose}")
    if "insecure_loopback" in values:
        steps.append(f"let the proxy pass {values['name']} on to {values['listen']} (see proxies/ beside the README)")
    if "cluster" in values:
        steps.append(f"copy {file.parent} to the other nodes: all that is in it is the same there")
    if "turn" in values:
        steps.append(
            f"set up the relay: entrenous-signaling turn-config --config {file} --out FILE (see turn-config/README.md)"
        )
    standard = file == STANDARD_FOLDER / FILE_NAME
    steps.append("entrenous-signaling check" if standard else f"entrenous-signaling check --config {file}")
    if standard and owner is not None:
        steps.append("systemctl enable --now entrenous-signaling")
    else:
        steps.append(f"entrenous-signaling serve --config {file}")
    return [f"  {number}. {step}" for number, step in enumerate(steps, 1)]
