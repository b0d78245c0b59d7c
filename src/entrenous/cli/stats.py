"""`entrenous stats`: what the figures of a call say afterwards."""

from __future__ import annotations

from pathlib import Path

import click

from .live import duration
from .options import json_option
from .output import Output
from .stats_file import plot, read_stats, summarise


@click.command("stats")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--plot",
    "picture",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw the course of the call into this file (.png, .svg, .pdf).",
)
@json_option
@click.pass_obj
def stats_command(output: Output, file: Path, picture: Path | None) -> None:
    """Sum up a call from the FILE that `call` or `answer` wrote with --stats.

    MOS is the opinion that people would have of the sound, 1 to 4.5, by the E-model of ITU-T G.107: from 4.0 on they
    are satisfied, below 3.1 nearly all of them are not.

    \b
    Examples:
      entrenous call bob --stats bob.jsonl
      entrenous stats bob.jsonl
      entrenous stats bob.jsonl --plot bob.png
      entrenous stats bob.jsonl --json | jq .figures.mos.mean
    """
    rows = read_stats(file)
    if picture is not None:
        plot(rows, picture)
    figures = summarise(rows)
    last = rows[-1]
    output.json({"seconds": last.seconds, "path": last.path, "figures": figures, "plot": picture})
    output.line(f"{duration(last.seconds)}, {last.path or 'no path'}, rekeyed {last.rekeys} times.")
    output.table(
        ("Figure", "Mean", "Worst"),
        [(figure.name, f"{figure.mean:g}", f"{figure.worst:g}") for figure in figures.values()],
    )
    if picture is not None:
        output.line(f"Drawn: {picture}")
