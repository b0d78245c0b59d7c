"""`calls`: the records of calls."""

from __future__ import annotations

import contextlib
import sys
from itertools import chain, islice
from pathlib import Path

import click

from entrenous_signaling.call_export import ENDINGS, Format, moment, write_file, write_text
from entrenous_signaling.store.database import read_records
from entrenous_signaling.store.place import databases_of

from .common import acting_as_owner, configured, place_options


class _Moment(click.ParamType[int]):
    """A date, or a moment of RFC 3339; becomes Unix seconds."""

    name = "moment"

    def convert(self, value: str | int, parameter: click.Parameter | None, context: click.Context | None) -> int:
        """Read what was given; ends the command with a sentence when it is no moment."""
        if isinstance(value, int):
            return value
        try:
            return moment(value)
        except ValueError as error:
            self.fail(str(error), parameter, context)


@click.command()
@place_options
@click.option("--from", "since", metavar="WHEN", type=_Moment(), help="Calls that started then or later.")
@click.option("--to", "until", metavar="WHEN", type=_Moment(), help="Calls that started before.")
@click.option(
    "--format",
    "form",
    type=click.Choice([form.value for form in Format]),
    help="json: one object a line; parquet: needs --out.  [what the name of FILE ends with, or table]",
)
@click.option("--json", "form", flag_value=Format.JSON.value, help="The same as --format json.")
@click.option("--csv", "form", flag_value=Format.CSV.value, help="The same as --format csv.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write a file that only you may read.")
def calls(
    config: Path | None, data: str | None, since: int | None, until: int | None, form: str | None, out: Path | None
) -> None:
    """Print the call records: all that the server keeps of calls. The server may be running.

    WHEN is a date (its first second, UTC) or a moment like 2026-11-21T18:00:00Z.

    \b
    entrenous-signaling calls --from 2026-11-01 --to 2026-12-01 --out november.parquet
    """
    settings = configured(config, data).settings
    if since is not None and until is not None and since >= until:
        raise click.UsageError("--from has to be before --to.")
    chosen = Format(form) if form is not None else ENDINGS.get(out.suffix.lower() if out else "", Format.TABLE)
    with contextlib.ExitStack() as stack:
        with acting_as_owner(Path(settings.data)):
            found = stack.enter_context(contextlib.closing(read_records(databases_of(settings), since, until)))
            rows = chain(list(islice(found, 1)), found)  # it is opened now; what is exported is for who asks
        if out is None:
            write_text(rows, chosen, sys.stdout)
        else:
            write_file(rows, chosen, out)
            click.echo(f"{out} is written, and only you may read it.")
