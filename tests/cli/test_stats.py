"""`entrenous stats`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from entrenous import AudioStats, CallStats, Quality
from entrenous.cli.exits import ExitCode
from entrenous.cli.stats_file import StatsFile


def written(folder: Path) -> Path:
    path = folder / "call.jsonl"
    file = StatsFile(path)
    for number in (1, 2):
        file.write(
            CallStats(
                seconds=number * 60.0,
                path="relay",
                rekeys=1,
                audio=AudioStats(played=50 * number),
                quality=Quality(88.0, 4.0 + number / 10),
            )
        )
    file.close()
    return path


def test_a_table_for_people(entrenous: Callable, tmp_path: Path) -> None:
    told = entrenous("stats", str(written(tmp_path)))
    assert told.code == ExitCode.OK
    lines = told.out.splitlines()
    assert lines[0] == "02:00, relay, rekeyed 1 times."
    assert next(line for line in lines if "MOS" in line).split()[-2:] == ["4.15", "4.1"]


def test_json_and_a_plot(entrenous: Callable, tmp_path: Path) -> None:
    picture = tmp_path / "call.png"
    told = entrenous("stats", str(written(tmp_path)), "--plot", str(picture), "--json").object
    assert told["figures"]["mos"] == {"name": "Quality (MOS, 1 to 4.5)", "mean": 4.15, "worst": 4.1}
    assert (told["seconds"], told["plot"]) == (120.0, str(picture))
    assert picture.stat().st_size > 1000


def test_another_file(entrenous: Callable, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("bread, milk\n")
    failed = entrenous("stats", str(path))
    assert failed.code == ExitCode.USAGE
    assert "--stats FILE writes such" in failed.err
