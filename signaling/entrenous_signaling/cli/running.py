"""`status`: what the running server says of itself."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import click
import msgspec

from entrenous_signaling.call_export import utc
from entrenous_signaling.control import ask
from entrenous_signaling.control_messages import GetStatus, Status

from .common import configured, place_options


@click.command()
@place_options
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def status(config: Path | None, data: str | None, as_json: bool) -> None:
    """Say how the running server is; the exit code is 1 when none runs.

    Numbers only: whose sessions and calls these are it does not tell.
    """
    said = ask(configured(config, data).settings.control_path, GetStatus(), Status)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(said)))
        return
    for line in _lines(said):
        click.echo(line)


def _lines(said: Status) -> list[str]:
    state = "running"
    if said.draining:
        state = "sending its nodes away"
    elif said.degraded:
        state = "running, and cannot store anything: see the disk and the database"
    elif said.cut_off:
        state = "running, and cut off from the other nodes: see NATS and the network"
    elif said.clock_differs:
        state = "running, and its clock is not that of the other nodes: set it, then restart the server"
    elif said.clock_set_by:
        state = "running, and its machine's clock was set since its start: restart the server when it is right"
    rows = [
        ("state", state),
        ("running for", str(timedelta(seconds=said.uptime))),
        ("connections", f"{said.connections:,}"),
        ("sessions", f"{said.sessions:,}"),
        ("open calls", f"{said.open_calls:,}"),
    ]
    if said.nodes is not None:
        rows.append(("other nodes", f"{said.nodes:,}"))
    if said.clock_ahead is not None:
        rows.append(("clock", _compared(said.clock_ahead)))
    rows += [
        (name, f"{number:,}")
        for name, number in (
            ("accounts", said.accounts),
            ("devices", said.devices),
            ("stored messages", said.stored_messages),
        )
        if number is not None
    ]
    if said.certificate_expires is not None:
        rows.append(("certificate", f"good until {utc(said.certificate_expires)}"))
    return [f"{name:16} {text}" for name, text in rows]


def _compared(ahead: float) -> str:
    seconds = round(abs(ahead))
    if seconds == 0:
        return "that of the database, to the second"
    return f"{seconds:,} s {'ahead of' if ahead > 0 else 'behind'} the database's"
