"""`check`: whether the configuration and its surroundings fit."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import click

from entrenous_signaling.checks.examination import examine
from entrenous_signaling.checks.findings import Finding, Level
from entrenous_signaling.config import ConfigError

from .common import acting_as_owner, configured, counted, place_options

_MARKS: Final = {Level.OK: ("ok     ", "green"), Level.WARNING: ("warning", "yellow"), Level.ERROR: ("error  ", "red")}


@click.command()
@place_options
@click.option("--json", "as_json", is_flag=True, help="One object a line: level, subject, text, next_step.")
def check(config: Path | None, data: str | None, as_json: bool) -> None:
    """Say whether the server can run: files, certificate, data, database, ports, name, clock, limits, relay.

    Nothing is changed. The exit code is 1 when there is an error; warnings do not count. The server may be running.
    Asked by root, files and the database are looked at as the user to whom the data belong.
    """
    chosen = configured(config, data)
    if chosen.file is None:
        raise ConfigError(
            "There is no configuration to check: name it with --config, or make one with `entrenous-signaling init`."
        )
    chosen.settings.check()
    seen = {Level.OK: 0, Level.WARNING: 0, Level.ERROR: 0}
    as_server = partial(acting_as_owner, Path(chosen.settings.data))
    for finding in examine(chosen.settings, chosen.file, datetime.now(UTC), as_server):
        seen[finding.level] += 1
        _tell(finding, as_json=as_json)
    if not as_json:
        click.echo(f"{counted(seen[Level.ERROR], 'error')}, {counted(seen[Level.WARNING], 'warning')}.")
    sys.exit(1 if seen[Level.ERROR] else 0)


def _tell(finding: Finding, *, as_json: bool) -> None:
    if as_json:
        said = {"level": finding.level.value, "subject": finding.subject, "text": finding.text}
        click.echo(json.dumps(said | {"next_step": finding.next_step}))
        return
    mark, colour = _MARKS[finding.level]
    click.echo(f"{click.style(mark, fg=colour)}  {finding.subject}: {finding.text}")
    if finding.next_step:
        click.echo(f"         → {finding.next_step}")
