"""One file: silence where sound is missing, a header that waits for the picture, a name given only at the end."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from entrenous.errors import MediaFileError
from entrenous.media.pictures import pixels
from entrenous.media.sinks.recording import RecordingFile, holds_pictures
from lab.recordings import read_recording, read_sound

BLOCK = 960


def block(value: int) -> NDArray[np.int16]:
    return np.full(BLOCK, value, np.int16)


def grey(width: int, height: int, luma: int) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, value in zip(frame.planes, (luma, 128, 128), strict=True):
        pixels(plane)[:] = value
    return frame


def sound_file(tmp_path: Path, blocks: list[tuple[int, int]]) -> NDArray[np.int16]:
    """What a WAV file holds after blocks of (value, position)."""
    file = RecordingFile(tmp_path / "x.wav", sound=True, picture=False)
    for value, position in blocks:
        file.write_sound(block(value), position)
    file.finish()
    return read_sound(tmp_path / "x.wav")


def test_blocks_in_line_are_written_as_they_are(tmp_path: Path) -> None:
    samples = sound_file(tmp_path, [(1, 0), (2, 960), (3, 1920)])
    assert np.array_equal(samples, np.concatenate([block(1), block(2), block(3)]))


def test_a_gap_becomes_silence(tmp_path: Path) -> None:
    samples = sound_file(tmp_path, [(1, 0), (2, 960 + 48_000 * 3)])
    assert len(samples) == 2 * 960 + 48_000 * 3
    assert not samples[960:-960].any()
    assert np.all(samples[-960:] == 2)


def test_turns_a_little_off_leave_no_seam(tmp_path: Path) -> None:
    samples = sound_file(tmp_path, [(1, 0), (2, 960 + 1500), (3, 1920 - 1500), (4, 2880)])
    assert np.array_equal(samples, np.concatenate([block(value) for value in (1, 2, 3, 4)]))


def test_the_beginning_is_exact(tmp_path: Path) -> None:
    assert np.flatnonzero(sound_file(tmp_path, [(1, 500)]))[0] == 500
    early = sound_file(tmp_path, [(1, -500), (2, 460)])
    assert (np.sum(early == 1), np.sum(early == 2)) == (460, 960)


def test_sound_that_overlaps_what_was_written_is_cut(tmp_path: Path) -> None:
    samples = sound_file(tmp_path, [(value, value * 960) for value in range(1, 10)] + [(77, 960), (88, 9600)])
    assert not np.any(samples == 77)
    assert np.all(samples[9600 : 9600 + 960] == 88)


def test_a_file_for_both_gets_the_size_of_its_first_picture(tmp_path: Path) -> None:
    file = RecordingFile(tmp_path / "x.mkv", sound=True, picture=True)
    file.write_sound(block(1000), 0)
    file.write_picture(grey(161, 121, 100), 0.1)
    file.write_picture(grey(320, 240, 200), 0.2)
    file.finish()
    film = read_recording(tmp_path / "x.mkv")
    assert [(round(at, 3), frame.width, frame.height) for at, frame in film.pictures] == [
        (0.0, 160, 120),
        (0.1, 160, 120),
        (0.2, 160, 120),
    ]
    assert len(film.samples) >= 960


def test_a_file_for_both_does_not_wait_for_ever_for_a_picture(tmp_path: Path) -> None:
    file = RecordingFile(tmp_path / "x.mkv", sound=True, picture=True)
    for number in range(200):
        file.write_sound(block(1000), number * 960)
        assert len(file._held_back) <= 101
    file.write_picture(grey(320, 240, 200), 4.0)
    file.finish()
    film = read_recording(tmp_path / "x.mkv")
    assert [(round(at, 2), frame.width, frame.height) for at, frame in film.pictures] == [
        (0.0, 1280, 720),
        (4.0, 1280, 720),
    ]
    middle = pixels(film.pictures[1][1].planes[0])
    assert abs(int(middle[360, 640]) - 200) < 5
    assert int(middle[360, 10]) < 25, "another shape stands on black"
    assert len(film.samples) == pytest.approx(200 * 960, abs=960)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_file_for_both_without_a_picture_is_sound(tmp_path: Path, suffix: str) -> None:
    file = RecordingFile(tmp_path / f"x{suffix}", sound=True, picture=True)
    file.write_sound(block(1000), 0)
    file.finish()
    film = read_recording(tmp_path / f"x{suffix}")
    assert len(film.samples) >= 960
    assert film.pictures == []


def test_an_older_picture_is_left_out(tmp_path: Path) -> None:
    file = RecordingFile(tmp_path / "x.mkv", sound=False, picture=True)
    for seconds in (0.0, 0.2, 0.1, 0.2, 0.3):
        file.write_picture(grey(64, 48, 100), seconds)
    file.finish()
    assert [round(at, 3) for at, _ in read_recording(tmp_path / "x.mkv").pictures] == [0.0, 0.2, 0.3]


@pytest.mark.parametrize("name", ["x.wav", "x.ogg", "x.opus", "x.mkv", "x.mp4"])
def test_the_name_is_given_when_the_file_is_complete(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("an older recording")
    file = RecordingFile(path, sound=True, picture=False)
    file.write_sound(block(1), 0)
    assert path.read_text() == "an older recording"
    assert (tmp_path / f"{name}.part").exists()
    file.finish()
    assert len(read_sound(path)) >= 960
    assert [found.name for found in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("suffix", [".wav", ".ogg", ".mkv"])
def test_what_a_crash_leaves_can_be_read(tmp_path: Path, suffix: str) -> None:
    file = RecordingFile(tmp_path / f"x{suffix}", sound=True, picture=False)
    for number in range(1000):
        file.write_sound(block(1000), number * 960)
    left = tmp_path / f"left{suffix}"
    left.write_bytes((tmp_path / f"x{suffix}.part").read_bytes())
    assert len(read_sound(left)) > 5 * 48_000
    file.discard()
    assert not (tmp_path / f"x{suffix}.part").exists()


def test_only_some_names_hold_pictures() -> None:
    assert [holds_pictures(Path(f"x{suffix}")) for suffix in (".mkv", ".MP4", ".wav", ".ogg")] == [
        True,
        True,
        False,
        False,
    ]
    with pytest.raises(MediaFileError, match=r"\.mkv, \.mp4"):
        holds_pictures(Path("x.avi"))


def test_where_nothing_can_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(MediaFileError, match="No such file or directory"):
        RecordingFile(tmp_path / "missing" / "x.wav", sound=True, picture=False)
    with pytest.raises(MediaFileError, match="pictures"):
        RecordingFile(tmp_path / "x.wav", sound=True, picture=True)
