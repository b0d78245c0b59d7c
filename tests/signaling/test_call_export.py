"""Call records in the formats of other programs."""

from __future__ import annotations

import io
import stat
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest

from entrenous_signaling import call_export
from entrenous_signaling.call_export import ExportError, Format, moment, utc, write_file, write_text

ROWS = [(1763750000, 5), (1763751727, 62)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-11-21", "2025-11-21T00:00:00Z"),
        ("2025-11-21T18:33:20Z", "2025-11-21T18:33:20Z"),
        ("2025-11-21T18:33:20", "2025-11-21T18:33:20Z"),
        ("2025-11-21T18:33:20+02:00", "2025-11-21T16:33:20Z"),
    ],
)
def test_moments_are_read_as_rfc_3339_writes_them(text: str, expected: str) -> None:
    assert utc(moment(text)) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2025-13-01", "12:00"])
def test_what_is_no_moment_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="no moment"):
        moment(text)


def test_a_file_is_private_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    write_file(ROWS, Format.CSV, path)
    assert path.read_bytes() == b"start,duration\n2025-11-21T18:33:20Z,5\n2025-11-21T19:02:07Z,62\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def breaks() -> Iterator[tuple[int, int]]:
        yield ROWS[0]
        raise RuntimeError("the database went away")

    with pytest.raises(RuntimeError):
        write_file(breaks(), Format.JSON, path)
    assert path.read_bytes().startswith(b"start,duration")
    assert [file.name for file in tmp_path.iterdir()] == ["calls.csv"]
    with pytest.raises(ExportError, match="cannot be written"):
        write_file(ROWS, Format.CSV, tmp_path / "nowhere" / "calls.csv")


def test_nothing_is_written_when_the_records_cannot_be_read() -> None:
    def breaks() -> Iterator[tuple[int, int]]:
        raise RuntimeError("no database")
        yield

    out = io.StringIO()
    with pytest.raises(RuntimeError):
        write_text(breaks(), Format.TABLE, out)
    assert out.getvalue() == ""


def test_rows_are_taken_as_they_are_written(tmp_path: Path) -> None:
    class Stops(io.StringIO):
        def write(self, text: str) -> int:
            if self.tell() > 300:
                raise BrokenPipeError
            return super().write(text)

    def endless() -> Iterator[tuple[int, int]]:
        while True:
            yield ROWS[0]

    for form in (Format.TABLE, Format.CSV, Format.JSON):
        with pytest.raises(BrokenPipeError):
            write_text(endless(), form, Stops())


def test_parquet_has_typed_columns_and_bounded_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow (extra `parquet`) is not installed")
    monkeypatch.setattr(call_export, "_GROUP", 100)
    path = tmp_path / "calls.parquet"
    write_file(islice((ROWS[number % 2] for number in range(250)), 250), Format.PARQUET, path)
    read = parquet.ParquetFile(path)
    assert [read.metadata.row_group(number).num_rows for number in range(read.num_row_groups)] == [100, 100, 50]
    assert [str(field.type) for field in read.schema_arrow] == ["timestamp[ms, tz=UTC]", "int64"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = read.read_row_group(0).slice(0, 2).to_pylist()
    assert first == [{"start": datetime.fromtimestamp(start, UTC), "duration": length} for start, length in ROWS]
    write_file([], Format.PARQUET, path)
    assert parquet.read_table(path).num_rows == 0


def test_parquet_without_its_library_or_without_a_file_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ExportError, match="--out"):
        write_text(ROWS, Format.PARQUET, io.StringIO())
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ExportError, match="pip install"):
        write_file(ROWS, Format.PARQUET, tmp_path / "calls.parquet")
    assert list(tmp_path.iterdir()) == []
