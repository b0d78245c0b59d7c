"""Writes call records, start and duration, in the formats that other programs read; none holds all rows in memory."""

from __future__ import annotations

import csv
import importlib
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from enum import Enum
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Final, assert_never

from .operator_errors import OperatorError
from .private_files import staged

Rows = Iterable[tuple[int, int]]
"""Start (Unix seconds) and duration (seconds) of each call."""

_GROUP: Final = 65_536
"""Rows of one row group of a Parquet file."""


class Format(Enum):
    """How records are written; the values are those of `--format`."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


ENDINGS: Final = {".csv": Format.CSV, ".json": Format.JSON, ".jsonl": Format.JSON, ".parquet": Format.PARQUET}
"""What the ending of a file's name says of how it is written."""


class ExportError(OperatorError):
    """Records cannot be written; `str()` is a sentence for the operator."""


def write_text(rows: Rows, form: Format, out: IO[str]) -> None:
    """Write records to a stream of text; nothing is written when there is no first one to be had.

    Args:
        rows: the records.
        form: any but PARQUET.
        out: where to; opened with `newline=""` if it is a file.

    Raises:
        ExportError: Parquet is no text.
        Exception: what reading the records raises.
    """
    if form is Format.PARQUET:
        raise ExportError("Parquet is for files: name one with --out.")
    left = iter(rows)
    rows = chain(list(islice(left, 1)), left)
    match form:
        case Format.TABLE:
            out.write("start (UTC)           duration (s)\n")
            out.writelines(f"{utc(start)}  {duration:12d}\n" for start, duration in rows)
        case Format.CSV:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(("start", "duration"))
            writer.writerows((utc(start), duration) for start, duration in rows)
        case Format.JSON:
            for start, duration in rows:
                out.write(json.dumps({"start": utc(start), "duration": duration}) + "\n")
        case _:
            assert_never(form)


def write_file(rows: Rows, form: Format, path: Path) -> None:
    """Write records to a file that only its owner may read, as a whole or not at all; a file that is there goes.

    Raises:
        ExportError: it cannot be written, or what writes Parquet is not installed.
    """
    try:
        with staged(path) as temporary:
            if form is Format.PARQUET:
                _write_parquet(rows, temporary)
            else:
                with temporary.open("w", encoding="utf-8", newline="") as out:
                    write_text(rows, form, out)
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror or error}.") from None


def utc(seconds: int) -> str:
    """A moment as RFC 3339 writes it.

    Args:
        seconds: Unix seconds.
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> int:
    """Read a date (its first second, UTC) or a moment of RFC 3339; without a zone it is UTC.

    Returns:
        Unix seconds.

    Raises:
        ValueError: it is neither; the message is a sentence for the operator.
    """
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no moment: write 2026-11-21 or 2026-11-21T18:00:00Z.") from None
    return int((read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp())


def _arrow() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise ExportError("Parquet needs pyarrow: pip install 'entrenous[parquet]'.") from None


def _write_parquet(rows: Rows, path: Path) -> None:
    """Columns `start` (a timestamp in UTC; Parquet has none coarser than milliseconds) and `duration` (seconds)."""
    arrow, parquet = _arrow()
    kinds = arrow.schema(
        [
            arrow.field("start", arrow.timestamp("ms", tz="UTC"), nullable=False),
            arrow.field("duration", arrow.int64(), nullable=False),
        ]
    )
    with parquet.ParquetWriter(path, kinds, compression="zstd") as writer:
        for group in _groups(rows):
            values = ([start * 1000 for start, _ in group], [duration for _, duration in group])
            columns = [arrow.array(column, field.type) for column, field in zip(values, kinds, strict=True)]
            writer.write_table(arrow.Table.from_arrays(columns, schema=kinds))


def _groups(rows: Rows) -> Iterator[list[tuple[int, int]]]:
    left = iter(rows)
    while group := list(islice(left, _GROUP)):
        yield group
