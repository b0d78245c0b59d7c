"""The recorder: what is played and shown lies in its files in sync, whole, under one zero; failures are told."""

from __future__ import annotations

import asyncio
import errno
import threading
from pathlib import Path

import av
import numpy as np
import pytest

from entrenous.errors import EntrenousError, LocalProtocolError, MediaFileError
from entrenous.media.sinks import Recorder, recording
from entrenous.media.sources import TestCardSource, ToneSource
from lab.recordings import Recording, dominant_hz, psnr, read_recording, read_sound
from world.media_clock import SimulatedClock


async def feed(recorder: Recorder, *, seconds: float, sound_late: float = 0.0, fps: int = 10) -> list[av.VideoFrame]:
    """Give a recorder a test card with beeps, as fast as it takes it; returns the pictures that were shown."""
    source = TestCardSource(320, 240, fps, beep=True, clock=SimulatedClock())
    await source.start()
    assert source.audio is not None
    assert source.video is not None
    shown: list[av.VideoFrame] = []
    picture = await source.video.read()
    for _ in range(round(seconds * 50)):
        block = await source.audio.read()
        while picture is not None and block is not None and picture.captured_at <= block.captured_at + 1e-6:
            while recorder._queue.qsize() > 20:
                await asyncio.to_thread(threading.Event().wait, 0.002)  # the encoder is a thread in real time
            recorder.show(picture.frame, picture.captured_at)
            shown.append(picture.frame)
            picture = await source.video.read()
        if block is not None and block.captured_at - 1000 >= sound_late:
            recorder.play(block.samples, block.captured_at)
    return shown


def files_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def recorder_thread_is_gone() -> bool:
    return "recorder" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
async def test_a_film_is_in_sync_and_sharp(tmp_path: Path, suffix: str) -> None:
    recorder = Recorder(tmp_path / f"film{suffix}")
    await recorder.start()
    shown = await feed(recorder, seconds=4)
    await recorder.close()
    film = read_recording(tmp_path / f"film{suffix}")
    assert recorder.dropped == 0
    assert film.frame_numbers == list(range(40))
    assert [at for at, _ in film.pictures] == pytest.approx([number / 10 for number in range(40)], abs=0.001)
    assert film.offsets() == pytest.approx([0, 0, 0], abs=0.01)
    assert min(psnr(one, other) for one, (_, other) in zip(shown, film.pictures, strict=True)) > 33
    assert recorder.audio_path == recorder.video_path == tmp_path / f"film{suffix}"
    assert recorder_thread_is_gone()


@pytest.mark.parametrize("sound", ["sound.wav", "sound.ogg"])
@pytest.mark.parametrize("late", [0.0, 0.5])
async def test_two_files_begin_together(tmp_path: Path, sound: str, late: float) -> None:
    recorder = Recorder(audio=tmp_path / sound, video=tmp_path / "picture.mkv")
    await recorder.start()
    await feed(recorder, seconds=3, sound_late=late)
    await recorder.close()
    assert (recorder.audio_path, recorder.video_path) == (tmp_path / sound, tmp_path / "picture.mkv")
    picture = read_recording(tmp_path / "picture.mkv")
    assert len(picture.samples) == 0
    both = Recording(read_sound(tmp_path / sound), picture.pictures)
    assert both.offsets() == pytest.approx([0, 0], abs=0.01)


@pytest.mark.parametrize("name", ["x.ogg", "x.opus", "x.wav"])
async def test_sound_alone_keeps_its_pitch_and_length(tmp_path: Path, name: str) -> None:
    recorder, tone = Recorder(tmp_path / name), ToneSource(700, clock=SimulatedClock())
    await recorder.start()
    await tone.start()
    for _ in range(150):
        block = await tone.read()
        assert block is not None
        recorder.play(block.samples, block.captured_at)
        recorder.show(av.VideoFrame(64, 48), block.captured_at)
    await recorder.close()
    samples = read_sound(tmp_path / name)
    assert len(samples) == pytest.approx(3 * 48_000, abs=10)
    assert dominant_hz(samples) == pytest.approx(700, abs=1)
    assert recorder.video_path is None


async def test_nothing_is_changed_after_it_was_taken(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "x.wav")
    await recorder.start()
    block = np.full(960, 1000, np.int16)
    recorder.play(block, 5.0)
    block[:] = 0
    await recorder.close()
    assert np.all(read_sound(tmp_path / "x.wav") == 1000)


@pytest.mark.parametrize(
    "files",
    [
        {"path": "x.wav"},
        {"path": "x.ogg"},
        {"path": "x.mkv"},
        {"path": "x.mp4"},
        {"audio": "x.wav", "video": "x.mkv"},
        {"video": "x.mp4"},
    ],
)
async def test_a_call_without_media_leaves_an_empty_recording(tmp_path: Path, files: dict[str, str]) -> None:
    what_is_black = files.get("video")
    recorder = Recorder(**{what: tmp_path / name for what, name in files.items()})
    await recorder.start()
    await recorder.close()
    await recorder.close()
    for name in files.values():
        film = read_recording(tmp_path / name)
        assert not np.any(np.abs(film.samples) > 1)
        assert len(film.samples) < 2000
        assert len(film.pictures) == (what_is_black == name)


async def test_before_start_and_after_close_nothing_is_taken(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "x.mkv")
    recorder.play(np.zeros(960, np.int16), 0.0)
    recorder.show(av.VideoFrame(64, 48), 0.0)
    await recorder.start()
    await recorder.close()
    recorder.play(np.zeros(960, np.int16), 0.0)
    assert recorder._queue.empty()


async def test_a_slow_disk_drops_and_counts_and_never_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    write = recording.RecordingFile.write_sound

    def slow(self: recording.RecordingFile, *arguments: object) -> None:
        go_on.wait(60)
        write(self, *arguments)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(recording.RecordingFile, "write_sound", slow)
    recorder = Recorder(tmp_path / "x.wav")
    await recorder.start()
    for number in range(700):
        recorder.play(np.full(960, 5, np.int16), number * 0.02)
    assert 199 <= recorder.dropped <= 200
    go_on.set()
    await recorder.close()
    samples = read_sound(tmp_path / "x.wav")
    assert np.sum(samples == 5) == (700 - recorder.dropped) * 960
    assert len(samples) <= 700 * 960, "what was dropped in between is silence"


async def test_a_full_disk_is_told_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: recording.RecordingFile, *arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(recording.RecordingFile, "write_sound", full)
    recorder = Recorder(tmp_path / "x.wav")
    await recorder.start()
    for number in range(2000):
        recorder.play(np.zeros(960, np.int16), number * 0.02)
    with pytest.raises(MediaFileError, match=r"x\.wav could not be written in full: No space left"):
        await recorder.close()
    await recorder.close()
    assert not (tmp_path / "x.wav").exists()
    assert (tmp_path / "x.wav.part").exists()
    assert recorder_thread_is_gone()


async def test_a_really_full_disk_is_told_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "x.wav.part").symlink_to("/dev/full")
    recorder = Recorder(tmp_path / "x.wav")
    await recorder.start()
    for number in range(400):
        recorder.play(np.full(960, 1, np.int16), number * 0.02)
    with pytest.raises(MediaFileError, match="No space left"):
        await recorder.close()


async def test_when_one_file_cannot_be_created_none_is_left(tmp_path: Path) -> None:
    recorder = Recorder(audio=tmp_path / "x.wav", video=tmp_path / "missing" / "x.mkv")
    with pytest.raises(MediaFileError, match="missing"):
        await recorder.start()
    await recorder.close()
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("files", "error"),
    [
        ({}, LocalProtocolError),
        ({"path": "x.mkv", "audio": "x.wav"}, LocalProtocolError),
        ({"audio": "x.mkv", "video": "x.mkv"}, LocalProtocolError),
        ({"path": "x.avi"}, MediaFileError),
        ({"audio": "x.txt"}, MediaFileError),
        ({"video": "x.wav"}, MediaFileError),
    ],
)
def test_files_that_make_no_sense_are_refused(files: dict[str, str], error: type[EntrenousError]) -> None:
    with pytest.raises(error):
        Recorder(**files)


async def test_a_shared_screen_has_a_film_of_its_own_on_the_same_time_line(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call.mkv")
    await recorder.start()
    await feed(recorder, seconds=1)
    card = TestCardSource(160, 120, 10, clock=SimulatedClock())
    await card.start()
    assert card.video is not None
    for _ in range(5):
        picture = await card.video.read()
        assert picture is not None
        recorder.show_screen(picture.frame, picture.captured_at + 1.0)
    await recorder.close()
    assert sorted(files_in(tmp_path)) == ["call.mkv", "call.screen.mkv"]
    screen = read_recording(tmp_path / "call.screen.mkv")
    assert screen.frame_numbers == [0, 0, 1, 2, 3, 4]  # the first stands from the beginning of the call
    assert [at for at, _ in screen.pictures] == pytest.approx([0.0, 1.0, 1.1, 1.2, 1.3, 1.4], abs=0.002)
    assert read_recording(tmp_path / "call.mkv").frame_numbers == list(range(10))


async def test_a_screen_whose_file_cannot_be_made_is_told_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "call.screen.mkv.part").mkdir()
    recorder = Recorder(tmp_path / "call.mkv")
    await recorder.start()
    recorder.show_screen(av.VideoFrame(64, 48, "yuv420p"), 1.0)
    with pytest.raises(MediaFileError, match=r"call\.screen\.mkv cannot be written"):
        await recorder.close()
    assert recorder_thread_is_gone()
