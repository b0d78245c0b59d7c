"""The figures of a call on disk: private, complete, summed up as the second in which they were worst."""

from __future__ import annotations

import asyncio
import json
import stat
import sys
from pathlib import Path

import pytest

from entrenous import AudioStats, CallStats, ConfigError, Quality, VideoStats
from entrenous.cli import stats_file
from entrenous.cli.stats_file import StatsFile, plot, read_stats, summarise


def second(number: int, *, concealed: int = 0, late: int = 0, freezes: int = 0, mos: float | None = 4.4) -> CallStats:
    return CallStats(
        seconds=float(number),
        path="direct",
        round_trip_ms=20.0 + number,
        audio=AudioStats(
            missed=late,
            left_out=late,
            played=50 * number - concealed,
            concealed=concealed,
            held_up_ms=40.0 * late,
            receive_bitrate=32_000,
        ),
        video=VideoStats(freezes=freezes, frames_per_second=30.0),
        quality=None if mos is None else Quality(90.0, mos),
    )


def written(path: Path, *rows: CallStats) -> Path:
    file = StatsFile(path)
    for row in rows:
        file.write(row)
    file.close()
    file.close()
    return path


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    rows = [second(number) for number in (1, 2, 3)]
    path = written(tmp_path / "call.jsonl", *rows)
    assert read_stats(path) == rows
    assert [json.loads(line)["seconds"] for line in path.read_text().splitlines()] == [1.0, 2.0, 3.0]


@pytest.mark.skipif(sys.platform == "win32", reason="there, files have no such mode")
def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    assert stat.S_IMODE(written(tmp_path / "call.jsonl", second(1)).stat().st_mode) == 0o600


async def test_a_running_call_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats_file, "EVERY_SECONDS", 0.0)
    enough, number = asyncio.Event(), 0

    def stats() -> CallStats:
        nonlocal number
        number += 1
        if number == 3:
            enough.set()
        return second(number)

    file = StatsFile(tmp_path / "call.jsonl")
    task = asyncio.create_task(file.follow(stats))
    await enough.wait()
    task.cancel()
    file.close()
    assert [row.seconds for row in read_stats(tmp_path / "call.jsonl")][:2] == [1.0, 2.0]


def test_where_nothing_can_be_written_a_sentence_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory"):
        StatsFile(tmp_path / "missing" / "call.jsonl")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_full_disk_is_told() -> None:
    with pytest.raises(ConfigError, match="No space left"):
        StatsFile(Path("/dev/full")).write(second(1))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b'{"seconds": 1}\nnot json\n', "line 2"),
        (b'{"seconds": "long"}\n', "line 1"),
        (b"\xff\xfe\n", "it is no text"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "call.jsonl"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=sentence):
        read_stats(path)


def test_a_file_that_never_ends_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats_file, "MAX_LINES", 2)
    with pytest.raises(ConfigError, match="more than 2 lines"):
        read_stats(written(tmp_path / "call.jsonl", second(1), second(2), second(3)))


def test_the_summary_names_the_worst_second() -> None:
    figures = summarise(
        [second(1), second(2, concealed=5, late=5, freezes=1, mos=3.0), second(3, concealed=5, late=5, freezes=1)]
    )
    assert (figures["mos"].worst, figures["round_trip_ms"].mean) == (3.0, 22.0)
    assert figures["concealed_percent"].worst == 10.0
    assert figures["concealed_percent"].mean == 5.0
    assert (figures["late_source_percent"].mean, figures["late_source_percent"].worst) == (10.0, 20.0)
    assert (figures["held_up_percent"].mean, figures["held_up_percent"].worst) == (10.0, 20.0)
    assert figures["freezes_per_minute"].worst == 60.0
    assert figures["frames_per_second"].worst == 30.0


def test_what_was_never_known_is_left_out() -> None:
    assert "mos" not in summarise([second(1, mos=None)])


def test_a_plot_is_a_picture(tmp_path: Path) -> None:
    plot([second(1), second(2, mos=None)], tmp_path / "call.png")
    assert (tmp_path / "call.png").read_bytes().startswith(b"\x89PNG")


def test_a_plot_of_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        plot([second(1)], tmp_path / "call.unknown")


def test_without_the_library_the_next_step_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"entrenous\[plot\]"):
        plot([second(1)], tmp_path / "call.png")
